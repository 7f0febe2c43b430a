//! The guest's page `/s/{code}`: the store's and the table's names are in it before any script runs.

use poem::{Endpoint, Request, Response, endpoint::make};

use super::{Files, made};
use crate::{
    http::problem::{Reason, escaped},
    state::ApiState,
};

const PAGE: &str = "guest/index.html";

/// The texts of the page that depend on the table.
struct Named {
    /// Reason why there is no such table; it decides the status.
    refused: Option<Reason>,
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
    let nameless = |refused| Named {
        refused,
        store: "Expediter".into(),
        table: String::new(),
    };
    let ledger = &state.ledger;
    let session = match ledger.session_by_code(code).await {
        Ok(Some(session)) if session.is_readable_at(ledger.clock().now()) => session,
        Ok(Some(_)) => return nameless(Some(Reason::SessionEnded)),
        Ok(None) => return nameless(Some(Reason::SessionNotFound)),
        Err(_) => return nameless(None),
    };
    match ledger.store(session.store_id).await {
        Ok(Some(store)) => Named {
            refused: None,
            store: store.name,
            table: session.name,
        },
        _ => nameless(None),
    }
}

fn answer(request: &Request, named: &Named) -> Response {
    let page = Files::get(PAGE).map(|file| file.data).unwrap_or_default();
    // A name may contain the mark of the other: the text is cut at the marks of the file alone.
    let html: String = String::from_utf8_lossy(&page)
        .split("{{")
        .map(|part| match part.split_once("}}") {
            Some(("store", rest)) => format!("{}{rest}", escaped(&named.store)),
            Some(("table", rest)) => format!("{}{rest}", escaped(&named.table)),
            _ => part.to_owned(),
        })
        .collect();
    let mut response = made(request, html);
    // A browser that has the page already (304) keeps it.
    if let Some(reason) = named.refused
        && response.status().is_success()
    {
        response.set_status(reason.status());
    }
    response
}
