//! Sessions (a table's open tab): states and code.

use chrono::{DateTime, Duration, Utc};
use serde_json::{Value, json};

use super::{
    ids::{SessionId, StoreId},
    order::rfc3339,
    words::words,
};

words! {
    /// State of a session; upper case, as in the seeds.
    pub enum SessionState {
        Open = "OPEN",
        Closed = "CLOSED",
    }
}

/// How long a session's code stays readable after the session was closed.
pub const CODE_READABLE_AFTER_CLOSE: Duration = Duration::hours(24);

#[derive(Clone, PartialEq)]
pub struct Session {
    pub id: SessionId,
    pub store_id: StoreId,
    /// 40 hex digits; the guests' key, and therefore a secret.
    pub code: String,
    pub name: String,
    pub state: SessionState,
    pub opened_at: DateTime<Utc>,
    pub closed_at: Option<DateTime<Utc>>,
    /// The last number of its stream.
    pub seq: i64,
}

impl Session {
    /// Returns true if the code still shows the session.
    #[must_use]
    pub fn is_readable_at(&self, now: DateTime<Utc>) -> bool {
        self.closed_at
            .is_none_or(|closed_at| now < closed_at + CODE_READABLE_AFTER_CLOSE)
    }

    /// Returns the facts that guests see, which are also the `data` of its events: never the code.
    #[must_use]
    pub fn public_facts(&self) -> Value {
        json!({"session": {
            "name": self.name,
            "state": self.state,
            "opened_at": rfc3339(self.opened_at),
            "closed_at": self.closed_at.map(rfc3339),
        }})
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("id", &self.id)
            .field("state", &self.state)
            .field("seq", &self.seq)
            .finish_non_exhaustive()
    }
}

/// Returns true if a text has the form of a session code: 40 lower-case hex digits.
#[must_use]
pub fn is_code(text: &str) -> bool {
    text.len() == 40
        && text
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_session_is_shown_for_a_day_and_an_open_one_always() {
        let noon = crate::noon();
        let mut session = Session {
            id: uuid::Uuid::from_u128(1).into(),
            store_id: uuid::Uuid::from_u128(2).into(),
            name: "Table 1".to_owned(),
            code: "ac35940dff4d472ce4801a154de92406f3163565".to_owned(),
            state: SessionState::Open,
            opened_at: noon,
            closed_at: None,
            seq: 1,
        };
        let a_day = chrono::TimeDelta::hours(24);
        assert!(session.is_readable_at(noon + a_day * 365));
        session.closed_at = Some(noon);
        let a_moment = chrono::TimeDelta::milliseconds(1);
        assert!(session.is_readable_at(noon + a_day - a_moment));
        assert!(!session.is_readable_at(noon + a_day));
    }

    #[test]
    fn a_code_is_forty_lower_case_hex_digits() {
        assert!(is_code("ac35940dff4d472ce4801a154de92406f3163565"));
        assert!(!is_code("AC35940dff4d472ce4801a154de92406f3163565"));
        assert!(!is_code("ac35"));
    }
}
