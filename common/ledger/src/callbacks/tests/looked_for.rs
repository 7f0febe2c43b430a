//! Callbacks listed for people, also with unreadable rows among them.

use super::handed_over;
use crate::{
    callbacks::CallbackFilter,
    scene::{Scene, word},
    testing::TestLedger,
};
use domain::ids::CallbackId;
use each_database::each_database;

/// Lists all callbacks page by page, newest first.
async fn found(house: &TestLedger, page: u32) -> Vec<CallbackId> {
    let mut found: Vec<CallbackId> = Vec::new();
    loop {
        let before = found.last().copied();
        let any = CallbackFilter::default();
        let listed = house.ledger.callbacks(&any, before, page).await.unwrap();
        let was_all = listed.len() < page as usize;
        found.extend(listed.into_iter().map(|one| one.id));
        if was_all {
            return found;
        }
    }
}

#[each_database]
async fn a_callback_that_cannot_be_read_hides_no_other_and_the_next_one_takes_its_place(
    house: TestLedger,
) {
    let scene = Scene::new(&house).await;
    let (kitchen, order) = handed_over(&scene).await;
    for status in ["accepted", "preparing", "ready", "accepted", "preparing"] {
        scene.says(&kitchen, order, word(order, status)).await;
    }
    let all = found(&house, 100).await;
    assert_eq!(all.len(), 5);
    scene
        .damage("UPDATE callbacks SET result = 'eaten' WHERE result = 'applied'")
        .await;
    // The first three moved the order, and are the last in the list.
    assert_eq!(found(&house, 100).await, all[..2]);
    assert_eq!(found(&house, 1).await, all[..2]);
    scene.damage("UPDATE callbacks SET failures = CASE WHEN result = 'eaten' THEN 0 ELSE -1 END, result = 'applied'").await;
    for page in [1, 2, 3, 100] {
        assert_eq!(found(&house, page).await, all[2..], "page size {page}");
    }
}
