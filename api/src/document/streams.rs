//! Event streams in the document. The notifier serves them, so that poem-openapi knows nothing of them.

use serde_json::{Value, json};

const SESSION: &str = "Server-sent events for clients that cannot use WebSockets: each frame of `/ws/sessions/{code}` is \
    the `data` of one event, with the same content. The first is `hello`, with a snapshot or, after the number of \
    `Last-Event-ID` or `after`, with what was missed. Each event has an `id` with its number and epoch, which a browser \
    sends back as `Last-Event-ID` when it reconnects. An event of the type `close` with `code` and `reason` says why \
    the stream ends. Comment lines keep the connection open.\n\nFrames and codes: docs/events.md.";
const ORDER: &str = "One order's events, as `/ws/orders/{id}` shows them; the format is that of a session's stream. \
    Send an access token in `Authorization`, or a ticket from `POST /live-tickets` in the URL, as browsers must, which \
    send no header of their own with an `EventSource`. Only an order without a session resumes after a number; any \
    other stream begins with a snapshot.";
const STORE: &str = "Every event of a store, its sessions and its orders, as `/ws/stores/{id}` shows them; the format \
    is that of a session's stream. It always begins with a snapshot that has each stream's number, and its events have \
    no `id`. Send an access token in `Authorization`, or a ticket from `POST /live-tickets` in the URL.";
const EXAMPLE: &str = "retry: 1500\n\ndata: {\"type\":\"hello\",\"stream\":\"01980000-0000-7000-8000-000000000005\",\
    \"seq\":7,\"resumed\":true,\"epoch\":\"01980000-0000-7000-8000-000000000006\"}\n\
    id: 7@01980000-0000-7000-8000-000000000006\n\n:\n\n";

/// Adds the operations and the security scheme of tickets.
pub(super) fn add_streams(document: &mut Value) {
    let last_event_id = parameter(
        "header",
        "Last-Event-ID",
        "The `id` of the last event that the client has; it wins over `after`.",
        json!({"type": "string"}),
    );
    let after = parameter(
        "query",
        "after",
        "Number of the last event that the client has. Default: begin with a snapshot.",
        json!({"type": "integer", "format": "int64"}),
    );
    let epoch = parameter(
        "query",
        "epoch",
        "Epoch in which that number counts. Without it there is a snapshot, unless `after` is 0.",
        json!({"type": "string", "format": "uuid"}),
    );
    let guest = parameter(
        "header",
        "Expediter-Guest",
        "The guest's key: events say which orders are `mine`.",
        json!({"type": "string"}),
    );
    let resume = [last_event_id, after, epoch];
    let id = json!({"type": "string", "format": "uuid"});
    let code = json!({"type": "string"});
    let [of_session, of_order, of_store] = [
        ("code", "The session's secret code of 40 hex digits.", code),
        ("id", "A UUID.", id.clone()),
        ("id", "A UUID.", id),
    ]
    .map(|(name, told, schema)| {
        let mut key = parameter("path", name, told, schema);
        key["required"] = json!(true);
        key
    });
    let with = |first: Value, more: &[Value]| [&[first], more].concat();
    let by_account = json!([{"bearer": []}, {"ticket": []}]);
    for (path, operation) in [
        (
            "/sessions/{code}/events/stream",
            json!({
                "tags": ["Sessions"],
                "summary": "Follow a session",
                "description": SESSION,
                "operationId": "stream_session_events",
                "parameters": with(of_session, &[resume.as_slice(), &[guest]].concat()),
            }),
        ),
        (
            "/orders/{id}/events/stream",
            json!({
                "tags": ["Orders"],
                "summary": "Follow an order",
                "description": ORDER,
                "operationId": "stream_order_events",
                "parameters": with(of_order, &resume),
                "security": by_account,
            }),
        ),
        (
            "/stores/{id}/events/stream",
            json!({
                "tags": ["Stores"],
                "summary": "Follow a store",
                "description": STORE,
                "operationId": "stream_store_events",
                "parameters": with(of_store, &[]),
                "security": by_account,
            }),
        ),
    ] {
        let mut operation = operation;
        operation["responses"] = json!({"200": {
            "description": "The stream, which goes on until either side ends it.",
            "content": {"text/event-stream": {"schema": {"type": "string"}, "example": EXAMPLE}},
        }});
        document["paths"][path] = json!({"get": operation});
    }
    document["components"]["securitySchemes"]["ticket"] = json!({
        "type": "apiKey",
        "in": "query",
        "name": "ticket",
        "description": "A ticket from `POST /live-tickets`, for one use within 30 seconds.",
    });
}

fn parameter(place: &str, name: &str, told: &str, schema: Value) -> Value {
    json!({"in": place, "name": name, "description": told, "required": false, "schema": schema})
}
