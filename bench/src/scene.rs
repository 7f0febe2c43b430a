//! A running program with a store, an integrator that answers at once, and a socket at every table.

use std::{sync::Arc, time::Duration};

use serde_json::json;

use crate::{
    expediter::{Expediter, Shop},
    ground::Ground,
    integrator::Integrator,
    rush::{Load, Log, Requests},
    sockets::Sockets,
    whole_way::accepted_order,
};

/// Connections of a load on a schedule: more than can be busy, so that the schedule is kept.
const SCHEDULED_CLIENTS: usize = 256;

#[derive(Debug)]
pub(crate) struct Scene {
    pub(crate) expediter: Expediter,
    pub(crate) shop: Arc<Shop>,
    pub(crate) log: Log,
    _integrator: Integrator,
    sockets: Sockets,
}

impl Scene {
    pub(crate) async fn open(ground: Ground) -> anyhow::Result<Self> {
        Self::on(Expediter::start(ground).await?).await
    }

    pub(crate) async fn on(expediter: Expediter) -> anyhow::Result<Self> {
        Self::after(expediter, async |_, _| Ok(())).await
    }

    /// Opens a scene whose program may restart before the sockets are opened.
    pub(crate) async fn after(
        mut expediter: Expediter,
        prepare: impl AsyncFnOnce(&mut Expediter, &Shop) -> anyhow::Result<()>,
    ) -> anyhow::Result<Self> {
        let log = Log::default();
        let integrator = Integrator::start({
            let log = log.clone();
            move |order, at| log.received(order, at)
        })
        .await?;
        let wanted =
            json!({"url": format!("http://{}/orders", integrator.address), "concurrency": 64});
        let shop = Arc::new(Shop::open(&expediter, wanted).await?);
        prepare(&mut expediter, &shop).await?;
        let sockets = Sockets::open(&shop.address, shop.table_codes.clone(), {
            let log = log.clone();
            move |text| {
                if let Some((order, at)) = accepted_order(text) {
                    log.shown(order, at);
                }
            }
        })
        .await?;
        Ok(Self {
            expediter,
            shop,
            log,
            _integrator: integrator,
            sockets,
        })
    }

    /// Returns a load as fast as its clients are answered; every other order is a guest's.
    pub(crate) fn saturating(&self, length: Duration, patience: Duration) -> Load {
        let shop = self.shop.clone();
        let requests: Requests = Arc::new(move |n| shop.any_order(n));
        Load::saturating(self.shop.address.clone(), requests, length, patience)
    }

    /// Returns a load on a schedule.
    pub(crate) fn scheduled(&self, per_s: f64, length: Duration, patience: Duration) -> Load {
        Load {
            connections: SCHEDULED_CLIENTS,
            per_s: Some(per_s),
            ..self.saturating(length, patience)
        }
    }

    pub(crate) async fn end(self) -> anyhow::Result<()> {
        self.sockets.close().await;
        self.expediter.end().await
    }
}
