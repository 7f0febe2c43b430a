//! Restarts: a kitchen that ended, and the next one on the same journal.

use std::{
    env, fs,
    io::Write,
    path::{Path, PathBuf},
    process,
};

use super::*;

/// Temporary folder of one test, removed on drop.
struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Self {
        let path = env::temp_dir().join(format!("kitchen-{test}-{}", process::id()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn journal(&self) -> PathBuf {
        self.0.join("kitchen.journal")
    }

    fn kitchen(&self) -> Kitchen {
        Kitchen::new(KitchenSettings {
            journal: Some(self.journal()),
            ..quick()
        })
        .unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

async fn gone(cooking: JoinHandle<()>) {
    cooking.abort();
    let _ = cooking.await;
}

/// Waits for `lines` ended orders in the journal, because they are written after the response they record.
async fn until_ended(journal: &Path, lines: usize) {
    let ended = timeout(DEADLINE, async {
        loop {
            let text = fs::read_to_string(journal).unwrap();
            if text.matches(r#""entry":"ended""#).count() == lines {
                return;
            }
            tokio::task::yield_now().await;
        }
    });
    ended.await.unwrap();
}

async fn both(receiver: &mut Receiver) -> Vec<(u64, String, String)> {
    let mut came = Vec::new();
    for _ in 0..2 {
        let (webhook_id, callback) = receiver.next().await;
        assert_eq!(callback["order_id"], "o1");
        let status = callback["status"].as_str().unwrap().to_owned();
        came.push((callback["sequence"].as_u64().unwrap(), status, webhook_id));
    }
    came.sort();
    came
}

#[tokio::test]
async fn an_order_outlives_its_kitchen_and_the_next_one_cooks_it_and_calls_back() {
    let folder = Folder::new("outlives");
    let mut receiver = Receiver::start().await;
    let body = handoff("order.placed", "o1", &receiver.url);
    hand_over(&folder.kitchen(), "msg_1", body).await;

    let next = folder.kitchen();
    let shown = board(&next).await;
    assert_eq!(shown["open"], 1);
    assert_eq!(shown["orders"][0]["state"], "accepted");
    assert_eq!(shown["orders"][0]["items"][0]["name"], "Espresso");
    let cooking = cooking(&next);
    let came = both(&mut receiver).await;
    assert_eq!((came[0].0, came[0].1.as_str()), (1, "preparing"));
    assert_eq!((came[1].0, came[1].1.as_str()), (2, "ready"));

    until_ended(&folder.journal(), 1).await;
    gone(cooking).await;
    let third = board(&folder.kitchen()).await;
    assert_eq!(third["open"], 0);
    assert_eq!(third["orders"][0]["state"], "ready");
}

#[tokio::test]
async fn callbacks_without_a_final_answer_are_made_again_in_the_same_sequence_under_fresh_ids() {
    let folder = Folder::new("unanswered");
    let mut receiver = Receiver::start().await;
    receiver.answers_with.store(503, Ordering::SeqCst);
    let first = Kitchen::new(KitchenSettings {
        first_retry: Duration::from_secs(3600),
        journal: Some(folder.journal()),
        ..quick()
    })
    .unwrap();
    let cooking_first = cooking(&first);
    let body = handoff("order.placed", "o1", &receiver.url);
    hand_over(&first, "msg_1", body).await;
    let before = both(&mut receiver).await;
    gone(cooking_first).await;

    receiver.answers_with.store(202, Ordering::SeqCst);
    let cooking_next = cooking(&folder.kitchen());
    let after = both(&mut receiver).await;
    for (before, after) in before.iter().zip(&after) {
        assert_eq!((before.0, &before.1), (after.0, &after.1));
        assert_ne!(before.2, after.2);
    }
    gone(cooking_next).await;
}

#[tokio::test]
async fn a_refused_last_callback_ends_the_order_for_the_next_kitchen_too() {
    let folder = Folder::new("refused");
    let mut receiver = Receiver::start().await;
    receiver.answers_with.store(404, Ordering::SeqCst);
    let first = folder.kitchen();
    let cooking = cooking(&first);
    let body = handoff("order.placed", "o1", &receiver.url);
    hand_over(&first, "msg_1", body).await;
    both(&mut receiver).await;
    until_ended(&folder.journal(), 1).await;
    gone(cooking).await;
    assert_eq!(board(&folder.kitchen()).await["open"], 0);
}

#[tokio::test]
async fn a_torn_last_line_is_ignored_and_the_journal_goes_on_behind_it() {
    let folder = Folder::new("torn");
    hand_over(
        &folder.kitchen(),
        "msg_1",
        handoff("order.placed", "o1", ""),
    )
    .await;
    let mut file = fs::OpenOptions::new()
        .append(true)
        .open(folder.journal())
        .unwrap();
    file.write_all(b"{\"entry\":\"accepted\",\"ticket\":2,\"webhook_id\":\"msg_\xc3")
        .unwrap();

    let next = folder.kitchen();
    assert_eq!(board(&next).await["open"], 1);
    hand_over(&next, "msg_2", handoff("order.placed", "o2", "")).await;
    drop(next);
    let third = board(&folder.kitchen()).await;
    assert_eq!(third["orders"][0]["order_id"], "o2");
    assert_eq!(third["orders"][1]["order_id"], "o1");
}

#[tokio::test]
async fn a_repeated_handoff_gets_its_answer_from_the_next_kitchen_and_is_cooked_once() {
    let folder = Folder::new("repeated");
    let first = folder.kitchen();
    // Without a number the reference comes from a counter, so a new ticket would get another one.
    let unnumbered = |id: &str| {
        json!({"event": "order.placed", "order": {"id": id}})
            .to_string()
            .into_bytes()
    };
    let cancelled = hand_over(&first, "msg_1", unnumbered("o1")).await;
    hand_over(&first, "msg_2", handoff("order.cancelled", "o1", "")).await;
    let open = hand_over(&first, "msg_3", unnumbered("o2")).await;
    assert_eq!(open.1["reference"], "K-2");
    drop(first);

    let next = folder.kitchen();
    assert_eq!(hand_over(&next, "msg_3", unnumbered("o2")).await, open);
    assert_eq!(hand_over(&next, "msg_1", unnumbered("o1")).await, cancelled);
    let known = hand_over(&next, "msg_4", unnumbered("o2")).await;
    assert_eq!(known, open, "another webhook-id about the same order");
    let new = hand_over(&next, "msg_5", unnumbered("o3")).await;
    assert_eq!(new.1["reference"], "K-3");
    let shown = board(&next).await;
    assert_eq!(shown["duplicates"], 2);
    assert_eq!(shown["open"], 2);
}

#[tokio::test]
async fn a_cancelled_order_is_not_taken_up_again() {
    let folder = Folder::new("cancelled");
    let mut receiver = Receiver::start().await;
    let first = folder.kitchen();
    for (webhook_id, order_id) in [("msg_1", "o1"), ("msg_2", "o2")] {
        let body = handoff("order.placed", order_id, &receiver.url);
        hand_over(&first, webhook_id, body).await;
    }
    hand_over(&first, "msg_3", handoff("order.cancelled", "o1", "")).await;
    drop(first);

    let next = folder.kitchen();
    let cooking = cooking(&next);
    for _ in 0..2 {
        assert_eq!(receiver.next().await.1["order_id"], "o2");
    }
    assert_eq!(board(&next).await["orders"][1]["state"], "cancelled");
    gone(cooking).await;
}
