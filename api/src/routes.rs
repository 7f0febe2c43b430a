//! Mounts all routes of the API.

use poem::{Endpoint, IntoResponse, Request, Response, Route, endpoint::make_sync, get};
use poem_openapi::OpenApiService;

use crate::{
    document,
    guard::Guarded,
    http::{policy, problem},
    pages,
    resources::resources,
    state::ApiState,
};

/// Returns all routes of the API. Mount them beside the process's other routes, all inside one [`crate::Front`].
#[must_use]
pub fn routes(state: &ApiState) -> Route {
    let guarded = Guarded {
        resources: resources(state),
        state: state.clone(),
    };
    let service = OpenApiService::new(guarded, document::TITLE, document::VERSION);
    let pages = problem::routes(pages::routes(Route::new(), state));
    pages
        .at(
            "/ping",
            get(make_sync(|_| {
                poem::web::Json(serde_json::json!({"message": "success"}))
            })),
        )
        .at("/docs", get(docs()))
        .nest("/api/v1", documents().nest("/", service))
}

/// Serves the documentation page and the documents.
fn documents() -> Route {
    let openapi = make_sync(|_| document::openapi_document().with_content_type("application/json"));
    let routes = Route::new()
        .at("/docs", get(docs()))
        .at("/openapi.json", get(openapi));
    document::BY_HAND
        .iter()
        .fold(routes, |routes, (name, text)| {
            let yaml = make_sync(|_| text.with_content_type("application/yaml"));
            routes.at(format!("/{name}"), get(yaml))
        })
}

/// Serves the documentation page, compressed once. Beside it only the pages' files are compressed, because the compressed
/// size of a response with both a secret and the client's own text reveals the secret.
fn docs() -> impl Endpoint + 'static {
    make_sync(|request: Request| {
        let page = Response::builder()
            .content_type("text/html; charset=utf-8")
            .header("Vary", "Accept-Encoding")
            .header("Content-Security-Policy", policy::DOCS);
        if pages::takes_gzip(request.headers()) {
            page.header("Content-Encoding", "gzip")
                .body(document::page_in_gzip())
        } else {
            page.body(document::page())
        }
    })
}
