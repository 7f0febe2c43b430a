//! The archive: every ended order once, complete, and before it is deleted.

use super::*;
use serde_json::Value;

async fn lines(ledger: &Ledger, file: &mut Archiving) -> Vec<Value> {
    let mut lines = Vec::new();
    while let Some(page) = ledger.archive_page(file).await.unwrap() {
        let page = page.iter().map(|line| serde_json::from_str(line).unwrap());
        lines.extend(page);
    }
    lines
}

fn ids(lines: &[Value]) -> Vec<OrderId> {
    let ids = lines.iter().map(|line| line["order"]["id"].as_str());
    ids.map(|id| id.unwrap().parse().unwrap()).collect()
}

fn archived_only(days: i64) -> Limits {
    Limits {
        archived_only: true,
        ..orders_after(days)
    }
}

#[each_database]
async fn orders_are_archived_once_complete_and_only_then_deleted(house: TestLedger) {
    let past = Past::new(&house).await;
    let ledger = past.ledger(archived_only(30));
    past.pass(32);
    assert_eq!(retain_all(&past, &ledger).await.orders, 0);
    let left = "SELECT COUNT(*) FROM retention_leftovers";
    assert_eq!(
        past.count(left).await,
        0,
        "the walk stays behind the archive"
    );

    let before = ledger.archived_before().unwrap();
    let mut killed = ledger
        .begin_archive(before, house.clock.now() + Duration::from_secs(1))
        .await
        .unwrap();
    let written = lines(&ledger, &mut killed).await;
    assert_eq!(ids(&written), past.ended);
    // It was never marked, so that the next one is the same.
    let mut file = ledger
        .begin_archive(before, house.clock.now() + Duration::from_secs(1))
        .await
        .unwrap();
    assert_eq!(lines(&ledger, &mut file).await, written);
    assert_eq!(file.name(), killed.name());
    let name = file.name().unwrap();
    assert_eq!(name, format!("orders-000001-{}.jsonl.gz", past.ended[0]));
    assert_eq!(ledger.mark_archived(&file).await.unwrap(), Archived::Marked);
    let late = ledger.mark_archived(&killed).await;
    assert_eq!(late.unwrap(), Archived::Overtaken);

    let delivered = &written[0];
    assert_eq!(delivered["format"], 1);
    assert_eq!(delivered["order"]["status"], "delivered");
    assert_eq!(delivered["order"]["customer"]["name"], "Ada Lovelace");
    assert_eq!(delivered["order"]["items"][0]["note"], "for Ada");
    assert_eq!(delivered["events"][0]["type"], "order.placed");
    let handoff = &delivered["handoffs"][0];
    assert!(handoff["body"].as_str().unwrap().contains("Ada"));
    let outcomes: Vec<&Value> = (0..2).map(|n| &handoff["attempts"][n]["outcome"]).collect();
    assert_eq!(outcomes, ["retry", "acknowledged"]);
    let said = delivered["callbacks"].as_array().unwrap().iter();
    let mut said: Vec<&Value> = said.map(|one| &one["payload"]["status"]).collect();
    said.sort_by_key(|word| word.as_str());
    assert_eq!(said, ["preparing", "ready"]);

    let mut next = ledger
        .begin_archive(before, house.clock.now() + Duration::from_secs(1))
        .await
        .unwrap();
    assert!(lines(&ledger, &mut next).await.is_empty());
    assert_eq!(next.name(), None);
    past.pass(2);
    assert_eq!(retain_all(&past, &ledger).await.orders, 3);
    for order in &past.open {
        assert!(past.exists(*order).await);
    }
}

#[each_database]
async fn an_order_that_was_open_when_the_archive_passed_it_is_archived_before_it_goes(
    house: TestLedger,
) {
    let past = Past::new(&house).await;
    let ledger = past.ledger(archived_only(30));
    past.pass(32);
    let before = ledger.archived_before().unwrap();
    let mut file = ledger
        .begin_archive(before, house.clock.now() + Duration::from_secs(1))
        .await
        .unwrap();
    lines(&ledger, &mut file).await;
    ledger.mark_archived(&file).await.unwrap();
    let late = past.open[0];
    past.scene.staff_move(late, Delivered).await;
    past.pass(40);
    assert_eq!(retain_all(&past, &ledger).await.orders, 3);
    assert!(past.exists(late).await, "it is in no file yet");
    let before = ledger.archived_before().unwrap();
    let mut file = ledger
        .begin_archive(before, house.clock.now() + Duration::from_secs(1))
        .await
        .unwrap();
    assert_eq!(ids(&lines(&ledger, &mut file).await), [late]);
    assert!(file.name().unwrap().starts_with("orders-000002-"));
    ledger.mark_archived(&file).await.unwrap();
    past.pass(2);
    assert_eq!(retain_all(&past, &ledger).await.orders, 1);
    assert!(!past.exists(late).await);
}

#[each_database]
async fn contact_data_does_not_wait_for_the_archive_and_messages_and_events_do(house: TestLedger) {
    let past = Past::new(&house).await;
    let age = Some(TimeDelta::days(10));
    let ledger = past.ledger(Limits {
        contact: age,
        messages: age,
        events: age,
        ..archived_only(30)
    });
    past.pass(32);
    let retained = retain_all(&past, &ledger).await;
    let Retained {
        contacts,
        messages,
        events,
        orders,
        ..
    } = retained;
    assert_eq!((contacts, messages, events, orders), (3, 0, 0, 0));
    let mut file = ledger
        .begin_archive(
            house.clock.now(),
            house.clock.now() + Duration::from_secs(1),
        )
        .await
        .unwrap();
    let written = lines(&ledger, &mut file).await;
    assert_eq!(written.len(), 3);
    assert!(written[0]["order"]["customer"]["name"].is_null());
    assert!(!written[0]["events"].as_array().unwrap().is_empty());
}
