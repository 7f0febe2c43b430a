//! Tests of the queue's turns, order and bounds, without a database.

use std::time::Duration;

use futures_util::poll;
use tokio::{sync::oneshot, time::timeout};
use uuid::Uuid;

use super::*;
use crate::{
    intake::{PlaceOrder, Placer},
    testing::fixtures::new_order,
};
use domain::{actor::Actor, ids::AccountId};

fn queue(max_requests: usize, queue_capacity: usize) -> Queue {
    Queue(Arc::new(Shared {
        state: Mutex::default(),
        limits: BatchLimits {
            max_requests,
            max_bytes: usize::MAX,
            writers: 1,
            queue_capacity,
        },
        work: Notify::new(),
        turn_ended: Notify::new(),
    }))
}

fn store(n: u128) -> StoreId {
    Uuid::from_u128(n).into()
}

/// Returns an order of the store that is recognised by its note.
fn order(store: StoreId, note: &str) -> QueuedOrder {
    let placer = Placer::Account(AccountId::from(Uuid::nil()));
    QueuedOrder {
        order: PlaceOrder {
            user_note: Some(note.to_owned()),
            ..new_order(store, placer, Vec::new())
        },
        id: Uuid::nil().into(),
        actor: Actor::SYSTEM,
        queued_at: tokio::time::Instant::now(),
        tries: 0,
        answer: oneshot::channel().0,
    }
}

fn push(queue: &Queue, store: StoreId, notes: &[&str]) {
    for note in notes {
        assert!(queue.push(order(store, note)).is_ok());
    }
}

async fn take(queue: &Queue) -> (Vec<String>, Turn) {
    let taken = timeout(Duration::from_secs(10), queue.0.take()).await;
    let (batch, turn) = taken.expect("there are orders").unwrap();
    let notes = batch.into_iter().filter_map(|one| one.order.user_note);
    (notes.collect(), turn)
}

fn is_idle(queue: &Queue) -> bool {
    queue.0.state.lock().stores.is_empty()
}

#[tokio::test]
async fn a_store_is_in_one_batch_at_a_time() {
    let queue = queue(10, 100);
    push(&queue, store(1), &["a1"]);
    let (batch, turn) = take(&queue).await;
    assert_eq!(batch, ["a1"]);
    push(&queue, store(1), &["a2", "a3"]);
    push(&queue, store(2), &["b1"]);
    let (batch, other) = take(&queue).await;
    assert_eq!(batch, ["b1"]);
    drop(turn);
    let (batch, turn) = take(&queue).await;
    assert_eq!(batch, ["a2", "a3"]);
    drop((turn, other));
    assert!(is_idle(&queue));
}

#[tokio::test]
async fn stores_take_turns() {
    let queue = queue(2, 100);
    push(&queue, store(1), &["a1", "a2", "a3", "a4", "a5"]);
    push(&queue, store(2), &["b1"]);
    push(&queue, store(3), &["c1"]);
    let mut batches = Vec::new();
    for _ in 0..4 {
        batches.push(take(&queue).await.0);
    }
    let expected = [
        vec!["a1", "a2"],
        vec!["b1", "c1"],
        vec!["a3", "a4"],
        vec!["a5"],
    ];
    assert_eq!(batches, expected);
    assert!(is_idle(&queue));
}

#[tokio::test]
async fn a_line_waits_for_the_turn_and_has_it_before_the_writers() {
    let queue = queue(10, 100);
    push(&queue, store(1), &["a1"]);
    let (_, turn) = take(&queue).await;
    push(&queue, store(1), &["a2"]);
    let mut line = std::pin::pin!(queue.enter(store(1)));
    assert!(poll!(&mut line).is_pending());
    drop(turn);
    push(&queue, store(2), &["b1"]);
    assert_eq!(take(&queue).await.0, ["b1"]);
    let entered = timeout(Duration::from_secs(10), line).await.unwrap();
    push(&queue, store(1), &["a3"]);
    push(&queue, store(3), &["c1"]);
    assert_eq!(take(&queue).await.0, ["c1"]);
    drop(entered);
    assert_eq!(take(&queue).await.0, ["a2", "a3"]);
    assert!(is_idle(&queue));
}

#[tokio::test]
async fn a_line_enters_at_once_where_nobody_has_a_batch() {
    let queue = queue(10, 100);
    push(&queue, store(1), &["a1"]);
    let entered = timeout(Duration::from_secs(10), queue.enter(store(1))).await;
    let entered = entered.unwrap();
    push(&queue, store(2), &["b1"]);
    assert_eq!(take(&queue).await.0, ["b1"]);
    drop(entered);
    assert_eq!(take(&queue).await.0, ["a1"]);
    drop(queue.enter(store(4)).await);
    assert!(is_idle(&queue));
}

#[tokio::test]
async fn a_line_that_gives_up_leaves_the_turn_to_the_writers() {
    let queue = queue(10, 100);
    push(&queue, store(1), &["a1"]);
    let (_, turn) = take(&queue).await;
    push(&queue, store(1), &["a2"]);
    {
        let mut line = std::pin::pin!(queue.enter(store(1)));
        assert!(poll!(&mut line).is_pending());
        drop(turn);
    }
    assert_eq!(take(&queue).await.0, ["a2"]);
    assert!(is_idle(&queue));
}

#[tokio::test]
async fn orders_that_met_a_held_row_come_first_in_the_next_batch() {
    let queue = queue(10, 100);
    push(&queue, store(1), &["a1", "a2"]);
    let taken = timeout(Duration::from_secs(10), queue.0.take()).await;
    let (batch, turn) = taken.unwrap().unwrap();
    push(&queue, store(1), &["a3"]);
    queue.push_again(batch);
    drop(turn);
    assert_eq!(take(&queue).await.0, ["a1", "a2", "a3"]);
    let taken = order(store(2), "b1");
    queue.push_again(vec![taken]);
    assert_eq!(take(&queue).await.0, ["b1"]);
    assert!(is_idle(&queue));
}

#[tokio::test]
async fn a_full_queue_refuses_and_has_room_once_a_batch_is_taken() {
    let queue = queue(10, 2);
    push(&queue, store(1), &["a1"]);
    push(&queue, store(2), &["b1"]);
    assert!(queue.push(order(store(1), "a2")).is_err());
    drop(take(&queue).await);
    push(&queue, store(1), &["a2", "a3"]);
    assert!(queue.push(order(store(3), "c1")).is_err());
}

#[tokio::test]
async fn a_dropped_queue_stops_all_who_wait_for_work() {
    let queue = queue(10, 2);
    let writers: Vec<_> = (0..3)
        .map(|_| {
            let shared = queue.0.clone();
            tokio::spawn(async move { shared.take().await.is_none() })
        })
        .collect();
    tokio::task::yield_now().await;
    drop(queue);
    for writer in writers {
        let stopped = timeout(Duration::from_secs(10), writer).await;
        assert!(stopped.expect("it stops").unwrap());
    }
}
