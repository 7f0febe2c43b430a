//! Current behaviour of the kitchen: normal, or one of the typical failures of integrators.

use serde::{Deserialize, Serialize};

/// Maximum number of requests that a mode can be limited to.
const FOR_REQUESTS_MAX: u32 = 1000;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Behaviour {
    #[default]
    Fine,
    /// Responds with 503 and accepts nothing.
    Down,
    /// Accepts the order, but responds after the sender's timeout.
    Slow,
    /// Sends every callback twice.
    Twice,
}

/// Behaviour, permanent or for a number of requests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Mode {
    #[serde(rename = "mode")]
    behaviour: Behaviour,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    for_requests: Option<u32>,
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum ModeError {
    #[error("only `down` and `slow` can be set for a number of requests")]
    NotCounted,
    #[error("`for_requests` must be between 1 and {FOR_REQUESTS_MAX}")]
    OutOfRange,
}

impl Mode {
    pub(crate) fn checked(self) -> Result<Self, ModeError> {
        match (self.for_requests, self.behaviour) {
            (None, _) => Ok(self),
            (Some(_), Behaviour::Fine | Behaviour::Twice) => Err(ModeError::NotCounted),
            (Some(n), _) if n == 0 || n > FOR_REQUESTS_MAX => Err(ModeError::OutOfRange),
            (Some(_), _) => Ok(self),
        }
    }

    pub(crate) fn behaviour(self) -> Behaviour {
        self.behaviour
    }

    /// Returns the behaviour for the current request and counts it; after the last counted one the mode is `fine`.
    pub(crate) fn meet(&mut self) -> Behaviour {
        let behaviour = self.behaviour;
        match self.for_requests {
            Some(left) if left > 1 => self.for_requests = Some(left - 1),
            Some(_) => *self = Self::default(),
            None => {}
        }
        behaviour
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(text: &str) -> Result<Mode, ModeError> {
        serde_json::from_str::<Mode>(text).unwrap().checked()
    }

    #[test]
    fn a_counted_mode_goes_back_to_fine_after_so_many_requests() {
        let mut down = mode(r#"{"mode":"down","for_requests":2}"#).unwrap();
        let met = [down.meet(), down.meet(), down.meet()];
        assert_eq!(met, [Behaviour::Down, Behaviour::Down, Behaviour::Fine]);
        assert_eq!(down, Mode::default());
    }

    #[test]
    fn an_uncounted_mode_stays() {
        let mut down = mode(r#"{"mode":"down"}"#).unwrap();
        for _ in 0..10 {
            assert_eq!(down.meet(), Behaviour::Down);
        }
    }

    #[test]
    fn a_mode_that_makes_no_sense_is_refused() {
        let not_counted = Err(ModeError::NotCounted);
        assert_eq!(mode(r#"{"mode":"twice","for_requests":2}"#), not_counted);
        let out_of_range = Err(ModeError::OutOfRange);
        assert_eq!(mode(r#"{"mode":"down","for_requests":0}"#), out_of_range);
        assert_eq!(mode(r#"{"mode":"slow","for_requests":1001}"#), out_of_range);
        assert!(serde_json::from_str::<Mode>(r#"{"mode":"on fire"}"#).is_err());
    }
}
