//! The store of a round, with a table, a counted product, and an integrator behind a proxy.

use serde_json::json;
use test_line::Line;

use super::house::House;
use crate::{Integrator, Shop};

/// Initial stock of buns: more than a round can sell.
pub(super) const BUNS: u32 = 500;

#[derive(Debug)]
pub struct Table {
    pub shop: Shop,
    pub integrator: Integrator,
    pub line: Line,
}

impl Table {
    /// Creates the store and its parts. Call it only while there are no failures.
    ///
    /// # Errors
    /// With the API's refusal.
    pub async fn set_up(house: &House) -> Result<Self, String> {
        let integrator = Integrator::start(house.clock());
        let end = integrator
            .url
            .trim_start_matches("http://")
            .trim_end_matches("/orders");
        let line = Line::to(vec![end.parse().expect("it listens somewhere")]).await;
        let create = async |path: &str, body| house.create(path, &body).await;
        let behind = json!({"concurrency": 8, "url": format!("http://{}/orders", line.address)});
        let shop = Shop::set_up(create, &integrator, BUNS, behind).await?;
        Ok(Self {
            shop,
            integrator,
            line,
        })
    }
}
