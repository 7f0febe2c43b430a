//! The HTTP API: its routes, its document, and the operations beside it.

mod account_routes; // sign-up, sign-in, webhooks
mod answers; // JSON that the API returns
mod delivery_routes; // deliveries and their history
mod fields; // reads bodies, and names every wrong field
mod problem; // RFC 9457
mod sender; // who sent a request

use poem::{
    Endpoint, EndpointExt, IntoResponse, Request, Response, Route, get, handler,
    http::StatusCode,
    web::{Data, Json},
};
use poem_openapi::OpenApiService;
use serde_json::json;

use self::{account_routes::AccountRoutes, delivery_routes::DeliveryRoutes, problem::Problem};
use crate::{courier::Courier, database::notifications};

const TITLE: &str = "Courier";
const DESCRIPTION: &str = "A delivery service: takes deliveries, moves each along its way, and tells of every step by a \
     signed webhook. Every error is a problem (RFC 9457) with a machine-readable `reason`.";

impl Courier {
    /// Returns all routes, to be nested under any path.
    pub fn routes(&self) -> impl Endpoint<Output = Response> + 'static + use<> {
        let service = service(
            AccountRoutes(Some(self.clone())),
            DeliveryRoutes(Some(self.clone())),
        );
        Route::new()
            .nest("/", service)
            .at("/openapi.json", get(show_document))
            .at("/livez", get(livez))
            .at("/readyz", get(readyz))
            .at("/metrics", get(metrics))
            .data(self.clone())
            .around(|endpoint, request: Request| async move {
                let path = request.uri().path().to_owned();
                match endpoint.call(request).await {
                    Ok(response) => Ok(response),
                    Err(error) if error.is_from_response() => Ok(error.into_response()),
                    Err(error) => Ok(Problem::of(&error, &path).into_response()),
                }
            })
            .map_to_response()
    }
}

/// Returns the OpenAPI document as pretty-printed JSON with a final newline, as stored in `courier/openapi.json`.
#[must_use]
pub fn openapi_document() -> String {
    let mut document = service(AccountRoutes(None), DeliveryRoutes(None)).spec();
    document.push('\n');
    document
}

fn service(
    accounts: AccountRoutes,
    deliveries: DeliveryRoutes,
) -> OpenApiService<(AccountRoutes, DeliveryRoutes), ()> {
    OpenApiService::new((accounts, deliveries), TITLE, env!("CARGO_PKG_VERSION"))
        .description(DESCRIPTION)
        .license("MIT OR Apache-2.0")
        .server("http://127.0.0.1:8090")
}

#[handler]
fn show_document() -> Response {
    Response::builder()
        .content_type("application/json")
        .body(openapi_document())
}

#[handler]
fn livez() -> Json<serde_json::Value> {
    Json(json!({"status": "ok"}))
}

/// Ready while the database answers and no shutdown has begun.
#[handler]
async fn readyz(Data(courier): Data<&Courier>) -> Response {
    let reason = if courier.is_stopping() {
        Some("stopping")
    } else if courier.inner.database.ping().await.is_err() {
        Some("database_unavailable")
    } else {
        None
    };
    match reason {
        None => Json(json!({"status": "ok"})).into_response(),
        Some(reason) => Json(json!({"status": "unavailable", "reason": reason}))
            .with_status(StatusCode::SERVICE_UNAVAILABLE)
            .into_response(),
    }
}

#[handler]
async fn metrics(Data(courier): Data<&Courier>) -> Result<Response, Problem> {
    let waiting = notifications::waiting(&courier.inner.database.readers).await?;
    let text = courier.inner.metrics.text(waiting);
    let text = text.map_err(|error| Problem::internal(&error))?;
    let answer = Response::builder().content_type("text/plain; version=0.0.4");
    Ok(answer.body(text))
}
