//! `GET /ping`: whether anybody is there.

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
    /// Whether anybody is there
    ///
    /// Also at the root, as `/ping`. It looks at nothing else: whether the database is reached, `/readyz` tells.
    #[oai(path = "/ping", method = "get", operation_id = "ping")]
    async fn ping(&self) -> Json<Pong> {
        let message = "success".to_owned();
        Json(Pong { message })
    }
}
