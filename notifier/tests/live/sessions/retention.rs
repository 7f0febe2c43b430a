//! Events that retention has deleted: clients below them begin with a snapshot.

use super::*;
use domain::{
    retention::Limits,
    status::{By, OrderStatus},
};

const DAY: Duration = Duration::from_secs(24 * 3600);

over_both! {
    async fn a_client_below_the_events_that_are_gone_begins_with_a_snapshot(house: TestLedger) {
        let table = Table::new(house).await;
        let place = || table.house.place_guest_order(&table.session, table.product);
        let (ended, open) = (place().await.id, place().await.id);
        let reject = |order| {
            let ledger = &table.line.ledger;
            ledger.move_order(order, OrderStatus::Rejected, By::Staff, Some("no milk"))
        };
        reject(ended).await.unwrap();
        table.house.clock.advance(DAY);
        table.line.ledger.tally_orders(None, 10).await.unwrap();
        table.house.clock.advance(DAY * 40);
        let limits = Limits {
            orders: Some(chrono::TimeDelta::days(30)),
            batch: 64,
            ..Limits::default()
        };
        // Opened, placed, placed, rejected: the second and the fourth are gone.
        let retained = table.house.ledger_with_retention(limits).retain().await.unwrap();
        assert_eq!((retained.orders, retained.events), (1, 2));
        for after in [0, 1, 2, 3] {
            let mut client = table.served.open(&table.path_after(after).await).await;
            let mut frame = client.frame().await;
            assert_eq!(frame["resumed"], true, "{after}: {frame}");
            while frame["orders"].is_null() {
                frame = client.frame().await;
            }
            assert_eq!((&frame["type"], &frame["seq"]), (&json!("hello"), &json!(4)), "{after}");
            assert_eq!(frame["orders"][0]["id"], open.to_string());
            assert_eq!(frame["orders"].as_array().unwrap().len(), 1);
        }
        let mut client = table.served.open(&table.path_after(4).await).await;
        assert_eq!(client.frame().await["resumed"], true);
        reject(open).await.unwrap();
        assert_eq!(client.frame().await["seq"], 5);
        assert_eq!(table.house.ledger.audit().await.unwrap(), []);
    }
}
