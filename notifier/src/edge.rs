//! Middleware around the routes of a process without the api: CORS, request ids, and errors as problems. In standalone
//! the api's own does this for all routes.

use http::{HeaderValue, StatusCode};
use platform::{chance::Chance, clock::Clock};
use poem::{Endpoint, IntoResponse, Middleware, Request, Response, Result};
use runtime::{
    cors::{self, Cors},
    request_id::{REQUEST_ID, RequestId},
};

use crate::refusal::Refusal;

#[derive(Clone, Debug)]
pub struct Edge {
    cors: Cors,
    chance: Chance,
    clock: Clock,
}

impl Edge {
    #[must_use]
    pub fn new(allowed_origins: &[String], chance: Chance, clock: Clock) -> Self {
        Self {
            cors: Cors::new(allowed_origins),
            chance,
            clock,
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

    async fn call(&self, mut request: Request) -> Result<Response> {
        let edge = &self.edge;
        let request_id = RequestId::of(request.headers(), &edge.chance, &edge.clock);
        let request_id = HeaderValue::from_str(request_id.as_str());
        if let Ok(id) = &request_id {
            request.headers_mut().insert(REQUEST_ID, id.clone());
        }
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
        if let Ok(id) = request_id {
            response.headers_mut().insert(REQUEST_ID, id);
        }
        cors::finish(response.headers_mut(), origin);
        Ok(response)
    }
}
