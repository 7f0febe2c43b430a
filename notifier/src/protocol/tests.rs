//! Frames as the contract has them.

use super::*;

fn event() -> Event {
    Event {
        stream: uuid::Uuid::from_u128(1).into(),
        seq: 5,
        store_id: uuid::Uuid::from_u128(2).into(),
        order_id: None,
        kind: EventKind::OrderPlaced,
        at: "2026-11-20T12:00:00Z".parse().unwrap(),
        actor: Some(Actor::account_id(Uuid::from_u128(3).into())),
        data: json!({"order": {"note": "\"quoted\" and ünïcode"}}),
    }
}

#[test]
fn an_event_frame_has_the_fields_of_the_contract_and_no_others() {
    let frame: Value = serde_json::from_str(
        &EventFrame::new(&event())
            .frame(4, None, Viewer::Guest)
            .text(),
    )
    .unwrap();
    assert_eq!(
        frame,
        json!({
            "stream": "00000000-0000-0000-0000-000000000001", "seq": 5, "prev": 4, "version": 1,
            "type": "order.placed", "at": "2026-11-20T12:00:00.000000Z",
            "actor": {"kind": "account"}, "data": {"order": {"note": "\"quoted\" and ünïcode"}},
        })
    );
}

#[test]
fn a_first_frame_names_its_epoch() {
    let stream = event().stream;
    let epoch: EpochId = uuid::Uuid::from_u128(9).into();
    let named = with_epoch(resumed(stream, 4), Some(epoch));
    let named: Value = serde_json::from_str(&named).unwrap();
    let expected = json!({
        "type": "hello", "stream": stream, "seq": 4, "resumed": true,
        "epoch": "00000000-0000-0000-0000-000000000009",
    });
    assert_eq!(named, expected);
    assert_eq!(with_epoch(resumed(stream, 4), None), resumed(stream, 4));
}

#[test]
fn an_event_says_who_caused_it_to_staff_and_to_that_account() {
    let event_frame = EventFrame::new(&event());
    let (own, other) = (Uuid::from_u128(3).into(), Uuid::from_u128(4).into());
    for (viewer, is_told) in [
        (Viewer::Staff, true),
        (Viewer::Owner(own), true),
        (Viewer::Owner(other), false),
        (Viewer::Guest, false),
    ] {
        let frame = event_frame.frame(4, None, viewer).text();
        let frame: Value = serde_json::from_str(&frame).unwrap();
        assert_eq!(frame["actor"]["kind"], "account");
        assert_eq!(frame["actor"].get("id").is_some(), is_told, "{viewer:?}");
    }
    let unknown = EventFrame::new(&Event {
        actor: None,
        ..event()
    });
    let frame: Value = serde_json::from_str(&unknown.frame(4, None, Viewer::Staff).text()).unwrap();
    assert_eq!(frame["actor"], Value::Null);
}

#[test]
fn an_event_says_whose_it_is_only_to_who_gave_a_key() {
    let event_frame = EventFrame::new(&event());
    let frame = event_frame.frame(4, Some(true), Viewer::Guest).text();
    let frame: Value = serde_json::from_str(&frame).unwrap();
    assert_eq!(frame["mine"], true);
    assert_eq!(frame["data"], event().data);
}

#[test]
fn only_a_frame_for_staff_has_the_facts_for_staff() {
    let placed = Event {
        data: json!({"order": {"items": [], "status": "pending", "number": 7}}),
        ..event()
    };
    let event_frame = EventFrame::new(&placed);
    let fields = Bytes::from_static(br#""user_note":"no \"nuts\"","#);
    let staff: Value =
        serde_json::from_str(&event_frame.frame_for_staff(4, fields.clone()).text()).unwrap();
    assert_eq!(staff["prev"], 4);
    assert_eq!(
        staff["data"],
        json!({"order": {"items": [], "status": "pending", "number": 7, "user_note": "no \"nuts\""}})
    );
    assert!(
        !event_frame
            .frame(4, None, Viewer::Guest)
            .text()
            .contains("nuts")
    );
    // Whatever has no facts of an order stays as it is.
    for data in [json!({"paused": true}), json!({"order": {"id": 7}})] {
        let other = EventFrame::new(&Event { data, ..event() });
        assert_eq!(
            other.frame_for_staff(4, fields.clone()).text(),
            other.frame(4, None, Viewer::Staff).text()
        );
    }
}

#[test]
fn the_page_of_events_lists_every_close_code() {
    let page = include_str!("../../../docs/events.md");
    let listed = page.lines().filter_map(|line| {
        let cells = line.strip_prefix("| ")?;
        cells.split(' ').next()?.parse().ok()
    });
    let codes: Vec<u16> = Close::ALL.iter().map(|close| close.code()).collect();
    assert_eq!(listed.collect::<Vec<u16>>(), codes);
}

#[test]
fn what_clients_say_is_read_and_anything_else_is_not() {
    let read = |text| serde_json::from_str::<ClientMessage>(text);
    assert!(matches!(
        read(r#"{"type":"ping"}"#),
        Ok(ClientMessage::Ping)
    ));
    assert!(
        matches!(read(r#"{"type":"guest","key":"k"}"#), Ok(ClientMessage::Guest { key, store: false }) if key == "k")
    );
    assert!(matches!(
        read(r#"{"type":"guest","key":"k","store":true}"#),
        Ok(ClientMessage::Guest { store: true, .. })
    ));
    assert!(read(r#"{"type":"order"}"#).is_err());
}
