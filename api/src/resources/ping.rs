//! `GET /ping`: liveness check.

use poem_openapi::{Object, OpenApi, payload::Json};

use crate::access::topic::Topic;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Ping;

#[derive(Debug, Object)]
struct Pong {
    /// Always `success`.
    message: String,
}

#[OpenApi(tag = "Topic::SigningIn")]
impl Ping {
    /// Check liveness
    ///
    /// Also available at the root, as `/ping`. It checks nothing else; `/readyz` tells whether the database is
    /// reachable.
    #[oai(path = "/ping", method = "get", operation_id = "ping")]
    async fn ping(&self) -> Json<Pong> {
        let message = "success".to_owned();
        Json(Pong { message })
    }
}
