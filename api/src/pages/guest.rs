//! The guest's page `/s/{code}`: the store's and the table's names are in it before any script runs.

use http::StatusCode;
use poem::{Endpoint, IntoResponse, Request, Response, endpoint::make};

use super::{Files, made};
use crate::{http::problem::escaped, state::ApiState};

const PAGE: &str = "guest/index.html";

/// The texts of the page that depend on the table.
struct Named {
    status: StatusCode,
    store: String,
    table: String,
}

pub(super) fn page(state: &ApiState) -> impl Endpoint + 'static {
    let state = state.clone();
    make(move |request: Request| {
        let state = state.clone();
        async move {
            let code = request.raw_path_param("code").unwrap_or_default();
            let named = named(&state, code).await;
            answer(&request, &named)
        }
    })
}

/// Reads the names. A code that is not valid and a database that is away have none: the script says what is the
/// matter, and asks again.
async fn named(state: &ApiState, code: &str) -> Named {
    let nameless = |status| Named {
        status,
        store: "Expediter".into(),
        table: String::new(),
    };
    let ledger = &state.ledger;
    let session = match ledger.session_by_code(code).await {
        Ok(Some(session)) if session.is_readable_at(ledger.clock().now()) => session,
        Ok(Some(_)) => return nameless(StatusCode::GONE),
        Ok(None) => return nameless(StatusCode::NOT_FOUND),
        Err(_) => return nameless(StatusCode::OK),
    };
    match ledger.store(session.store_id).await {
        Ok(Some(store)) => Named {
            status: StatusCode::OK,
            store: store.name,
            table: session.name,
        },
        _ => nameless(StatusCode::OK),
    }
}

fn answer(request: &Request, named: &Named) -> Response {
    let Some(file) = Files::get(PAGE) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    // A name may contain the mark of the other: the text is cut at the marks of the file alone.
    let html: String = String::from_utf8_lossy(&file.data)
        .split("{{")
        .map(|part| match part.split_once("}}") {
            Some(("store", rest)) => format!("{}{rest}", escaped(&named.store)),
            Some(("table", rest)) => format!("{}{rest}", escaped(&named.table)),
            _ => part.to_owned(),
        })
        .collect();
    let mut response = made(request, html);
    if response.status() == StatusCode::OK {
        response.set_status(named.status);
    }
    response
}
