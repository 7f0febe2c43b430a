//! Errors of clusters and proxies while handoffs are claimed and callbacks applied: no row is at fault.

use crate::{
    scene::{LEASE, Scene},
    testing::on_mysql,
};
use domain::{callback::Update, status::OrderStatus};

/// Statements that make each further attempt, and each result of a callback, meet such an error.
macro_rules! failing {
    ($state:literal, $number:literal) => {
        [
            concat!(
                "CREATE TRIGGER cluster_fails BEFORE INSERT ON attempts FOR EACH ROW SIGNAL SQLSTATE '",
                $state,
                "' SET MYSQL_ERRNO = ",
                $number,
                ", MESSAGE_TEXT = 'not now'"
            ),
            concat!(
                "CREATE TRIGGER cluster_fails_too BEFORE UPDATE ON callbacks FOR EACH ROW SIGNAL SQLSTATE '",
                $state,
                "' SET MYSQL_ERRNO = ",
                $number,
                ", MESSAGE_TEXT = 'not now'"
            ),
        ]
    };
}

async fn run(scene: &Scene, statements: &[&'static str]) {
    let mut tx = scene.house.db.begin().await.unwrap();
    for &statement in statements {
        store::testing::raw(&mut tx, statement).await.unwrap();
    }
    tx.commit().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_cluster_or_a_proxy_cannot_do_now_parks_nothing() {
    on_mysql(|house| async move {
        for failing in [
            failing!("08S01", 1047),
            failing!("HY000", 3100),
            failing!("40000", 3101),
            failing!("HY000", 1105),
            failing!("HY000", 9001),
            failing!("HY000", 1290),
            failing!("42000", 1226),
        ] {
            let scene = Scene::new(&house).await;
            let kitchen = scene.kitchen().await;
            let order = scene.order().await.id;
            let claimed = scene.claim(&kitchen).await;
            scene.answers(&claimed, 200).await;
            let update: Update = serde_json::from_value(serde_json::json!({
                "order_id": order, "status": "preparing"
            }))
            .unwrap();
            scene.send_callback(&kitchen, update).await;
            scene.order().await;

            run(&scene, &failing).await;
            for _ in 0..6 {
                let claim = house.ledger.claim_handoffs(kitchen.id, 10, LEASE);
                claim.await.unwrap_err();
                house.ledger.apply_callbacks(order).await.unwrap_err();
            }
            let triggers = [
                "DROP TRIGGER cluster_fails",
                "DROP TRIGGER cluster_fails_too",
            ];
            run(&scene, &triggers).await;
            assert_eq!(scene.stuck().await, [], "{failing:?}");
            scene.claim(&kitchen).await;
            assert_eq!(house.ledger.apply_callbacks(order).await.unwrap(), 1);
            assert_eq!(scene.status(order).await, OrderStatus::Preparing);
            scene.assert_audit_clean().await;
        }
    })
    .await;
}
