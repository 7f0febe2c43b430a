//! A screen that follows a table's stream, reconnects with its last number when the connection breaks, and finds gaps.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use futures_util::StreamExt;
use serde_json::Value;
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};
use tokio_tungstenite::{connect_async, tungstenite::Message};

use super::books::Violation;

/// Time without any frame, pings included, after which a screen reconnects.
const READ_TIMEOUT: Duration = Duration::from_secs(3);
const PAUSE: Duration = Duration::from_millis(100);
/// Time to receive the last events after the last failure.
const CATCH_UP_TIMEOUT: Duration = Duration::from_secs(30);

/// Result of following a stream.
#[derive(Clone, Debug, Default)]
pub struct Followed {
    pub first: i64,
    pub last: i64,
    /// Epoch in which that number counts.
    pub epoch: Option<String>,
    pub connections: u32,
    pub refused: u32,
    /// Last shown status of each order, by id.
    pub shown: BTreeMap<String, String>,
    /// Places where event numbers were not consecutive.
    pub breaks: Vec<String>,
}

/// Follows a stream from before its first event, reconnecting after every `leaves_after` events, until `goal` names the
/// last number and that event was received.
pub(super) async fn follow(
    url: String,
    leaves_after: u32,
    mut goal: watch::Receiver<Option<i64>>,
) -> Followed {
    let mut followed = Followed::default();
    let mut deadline = None;
    loop {
        let reached = (*goal.borrow_and_update()).map(|goal| followed.last >= goal);
        if reached == Some(true) {
            return followed;
        }
        if reached == Some(false)
            && Instant::now() > *deadline.get_or_insert(Instant::now() + CATCH_UP_TIMEOUT)
        {
            followed.breaks.push(format!(
                "stopped at {} of {:?}",
                followed.last,
                *goal.borrow()
            ));
            return followed;
        }
        followed.one_connection(&url, leaves_after, &mut goal).await;
        sleep(PAUSE).await;
    }
}

/// Returns the number of a stream's last event, from a new snapshot.
pub(super) async fn last_number(url: &str) -> Option<i64> {
    let (mut socket, _) = timeout(READ_TIMEOUT, connect_async(url)).await.ok()?.ok()?;
    while let Ok(Some(Ok(message))) = timeout(READ_TIMEOUT, socket.next()).await {
        if let Message::Text(hello) = message {
            return serde_json::from_str::<Value>(&hello).ok()?["seq"].as_i64();
        }
    }
    None
}

impl Followed {
    async fn one_connection(
        &mut self,
        url: &str,
        leaves_after: u32,
        goal: &mut watch::Receiver<Option<i64>>,
    ) {
        let epoch = self.epoch.as_ref().map(|epoch| format!("&epoch={epoch}"));
        let url = format!("{url}?after={}{}", self.last, epoch.unwrap_or_default());
        let Ok(Ok((mut socket, _))) = timeout(READ_TIMEOUT, connect_async(url)).await else {
            self.refused += 1;
            return;
        };
        self.connections += 1;
        let mut events = 0;
        while events < leaves_after && self.breaks.len() < 5 {
            let frame = tokio::select! {
                frame = timeout(READ_TIMEOUT, socket.next()) => frame,
                _ = goal.changed() => return,
            };
            match frame {
                Ok(Some(Ok(Message::Text(frame)))) => {
                    let frame: Value = serde_json::from_str(&frame).unwrap_or_default();
                    self.takes(&frame);
                    events += u32::from(frame["type"] != "hello");
                    if goal.borrow().is_some_and(|goal| self.last >= goal) {
                        return;
                    }
                }
                Ok(Some(Ok(Message::Ping(_) | Message::Pong(_)))) => {}
                _ => return,
            }
        }
    }

    fn takes(&mut self, frame: &Value) {
        let seq = frame["seq"].as_i64().unwrap_or_default();
        if frame["type"] == "hello" {
            let epoch = frame["epoch"].as_str().map(str::to_owned);
            let is_new = self.epoch.is_some() && epoch.is_some() && self.epoch != epoch;
            self.epoch = epoch;
            if is_new && frame["resumed"] != true {
                // What was known is void, and the snapshot is all that counts.
                for order in frame["orders"].as_array().into_iter().flatten() {
                    self.show(order);
                }
                self.last = seq;
                return;
            }
            if seq != self.last || frame["resumed"] != true {
                self.breaks.push(format!(
                    "reconnected with {}, but got a new snapshot at {seq}",
                    self.last
                ));
                self.last = seq;
            }
            return;
        }
        if seq != self.last + 1 || frame["prev"].as_i64().is_some_and(|prev| prev != self.last) {
            self.breaks.push(format!(
                "{seq} (prev {}) came after {}",
                frame["prev"], self.last
            ));
        }
        if self.first == 0 {
            self.first = seq;
        }
        self.last = seq;
        self.show(&frame["data"]["order"]);
    }

    fn show(&mut self, order: &Value) {
        if let (Some(id), Some(status)) = (order["id"].as_str(), order["status"].as_str()) {
            self.shown.insert(id.to_owned(), status.to_owned());
        }
    }

    /// Compares the shown orders with the stored orders of the table; returns every difference.
    pub(super) fn against(&self, kept: &BTreeMap<String, String>) -> Vec<Violation> {
        let differs = |id: &&String| self.shown.get(*id) != kept.get(*id);
        let all: BTreeSet<&String> = self.shown.keys().chain(kept.keys()).collect();
        let wrong = all.into_iter().filter(differs).map(|id| {
            let (shown, kept) = (self.shown.get(id), kept.get(id));
            Violation::of(id, format!("is shown as {shown:?}, but stored as {kept:?}"))
        });
        wrong.collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_gap_a_double_and_a_fresh_start_are_noticed() {
        let mut followed = Followed::default();
        for frame in [
            json!({"type": "hello", "seq": 0, "resumed": true}),
            json!({"type": "order.placed", "seq": 1, "prev": 0}),
            json!({"type": "order.placed", "seq": 2, "prev": 1}),
        ] {
            followed.takes(&frame);
        }
        assert!(followed.breaks.is_empty(), "{:?}", followed.breaks);
        followed.takes(&json!({"type": "order.placed", "seq": 2, "prev": 1}));
        followed.takes(&json!({"type": "order.placed", "seq": 4, "prev": 2}));
        followed.takes(&json!({"type": "hello", "seq": 9}));
        assert_eq!(followed.breaks.len(), 3, "{:?}", followed.breaks);
    }

    #[test]
    fn a_snapshot_is_a_break_unless_the_epoch_is_a_new_one() {
        let mut followed = Followed::default();
        let order = json!([{"id": "a", "status": "ready"}]);
        for (hello, breaks) in [
            (
                json!({"type": "hello", "seq": 0, "resumed": true, "epoch": "e"}),
                0,
            ),
            (
                json!({"type": "hello", "seq": 3, "epoch": "f", "orders": order}),
                0,
            ),
            (
                json!({"type": "hello", "seq": 3, "resumed": true, "epoch": "f"}),
                0,
            ),
            (
                json!({"type": "hello", "seq": 4, "epoch": "f", "orders": []}),
                1,
            ),
        ] {
            followed.takes(&hello);
            assert_eq!(followed.breaks.len(), breaks, "{hello}");
        }
        assert_eq!(followed.shown["a"], "ready");
    }

    #[test]
    fn a_screen_that_shows_something_else_than_is_kept_is_noticed() {
        let mut followed = Followed::default();
        let order = |id: &str, status: &str| json!({"order": {"id": id, "status": status}});
        for (seq, data) in [
            (1, json!({"session": {"name": "Table 7"}})),
            (2, order("a", "pending")),
            (3, order("b", "pending")),
            (4, order("a", "ready")),
        ] {
            followed.takes(&json!({"seq": seq, "prev": seq - 1, "data": data}));
        }
        let kept = |kept: &[(&str, &str)]| -> BTreeMap<String, String> {
            let owned = |(id, status): &(&str, &str)| ((*id).to_owned(), (*status).to_owned());
            kept.iter().map(owned).collect()
        };
        for (kept, wrong) in [
            (kept(&[("a", "ready"), ("b", "pending")]), 0),
            (kept(&[("a", "ready"), ("b", "ready")]), 1),
            (kept(&[("a", "ready")]), 1),
            (
                kept(&[("a", "ready"), ("b", "pending"), ("c", "cancelled")]),
                1,
            ),
        ] {
            let found = followed.against(&kept);
            assert_eq!(found.len(), wrong, "{kept:?}: {found:?}");
        }
    }
}
