//! Middleware around the routes of a process without the api: CORS, request ids, and errors as problems. In standalone
//! the api's own does this for all routes.

use http::StatusCode;
use poem::{Endpoint, IntoResponse, Middleware, Request, Response, Result};
use runtime::cors::{self, Cors};

use crate::refusal::{REQUEST_ID, Refusal};

#[derive(Clone, Debug)]
pub struct Edge {
    cors: Cors,
}

impl Edge {
    #[must_use]
    pub fn new(allowed_origins: &[String]) -> Self {
        Self {
            cors: Cors::new(allowed_origins),
        }
    }
}

impl<E: Endpoint> Middleware<E> for Edge {
    type Output = EdgeEndpoint<E>;

    fn transform(&self, inner: E) -> EdgeEndpoint<E> {
        EdgeEndpoint {
            edge: self.clone(),
            inner,
        }
    }
}

/// Endpoint wrapped by [`Edge`].
#[derive(Debug)]
pub struct EdgeEndpoint<E> {
    edge: Edge,
    inner: E,
}

impl<E: Endpoint> Endpoint for EdgeEndpoint<E> {
    type Output = Response;

    async fn call(&self, request: Request) -> Result<Response> {
        let origin = self.edge.cors.origin(request.headers());
        let headers = request.headers().clone();
        let mut response = if origin.is_some() && cors::is_preflight(&request) {
            cors::preflight()
        } else {
            match self.inner.call(request).await {
                Ok(response) => response.into_response(),
                Err(error) if error.status() == StatusCode::NOT_FOUND => {
                    Refusal::NOT_FOUND.answer(&headers)
                }
                Err(error) if error.status() == StatusCode::METHOD_NOT_ALLOWED => {
                    Refusal::METHOD.answer(&headers)
                }
                Err(error) => error.into_response(),
            }
        };
        if let Some(id) = headers.get(REQUEST_ID) {
            response.headers_mut().insert(REQUEST_ID, id.clone());
        }
        cors::finish(response.headers_mut(), origin);
        Ok(response)
    }
}
