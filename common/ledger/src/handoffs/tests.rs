//! Handoffs on both databases: claims, outcomes, and their effects on the order.

mod attempts;
mod by_hand;
mod called_off;
mod cancel_table;
mod clock;
mod clusters;
mod dispatch;
mod ends;
mod looked_for;
mod messages;

use super::Claimed;
use crate::scene::Scene;
use domain::{
    handoff::{Attempt, HandoffState},
    integrator::HandoffEvent,
};

use HandoffEvent::{OrderCancelled, OrderPlaced};
use HandoffState::{Acknowledged, Due, Failed, Held, Parked, Sending, Waiting, Withdrawn};

async fn attempts(scene: &Scene, claimed: &Claimed) -> Vec<Attempt> {
    let mut tx = scene.house.db.read().await.unwrap();
    store::attempts::of_handoff(&mut tx, claimed.handoff.id)
        .await
        .unwrap()
}
