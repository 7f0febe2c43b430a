//! Section 15: the whole way beside its limit, batches of claims and outcomes in plain SQL.

use std::sync::Arc;

use crate::{
    batches,
    effort::Effort,
    ground::{self, Ground},
    intake::sample,
    report::{Measured, Section, rate},
    samples::Run,
    scene::Scene,
    stall::Stall,
    targets::{Figure, Target},
};

pub(crate) async fn measure(effort: &Effort) -> anyhow::Result<Section> {
    let (mut rows, mut figures) = (Vec::new(), Vec::new());
    for ground in Ground::all() {
        rows.push(on(ground, effort, &mut figures).await?);
    }
    Ok(Section {
        number: 15,
        title: "Beside claims and outcomes in plain SQL",
        about: "The saturating load of section 8, in turns with a limit that only claims and concludes: orders that \
                were loaded before are taken by their ids, 64 in one transaction and their outcomes in another, with a fixed number of \
                plain statements, over two connections (SQLite: one). It takes nothing in, sends and publishes nothing, and decides nothing.",
        columns: vec![
            "database",
            "end to end, orders/s",
            "limit, orders/s",
            "÷ limit",
        ],
        rows,
        figures,
        limiting_factor: "End to end also has HTTP, intake, sending, publishing and screens, all on the same processor.",
    })
}

async fn on(
    ground: Ground,
    effort: &Effort,
    figures: &mut Vec<Figure>,
) -> anyhow::Result<Vec<String>> {
    let scene = Scene::open(ground).await?;
    let beside = ground.fresh().await?;
    let stall = Stall::open(&beside.db).await?;
    let sample = Arc::new(sample(&stall).await?);
    drop(stall);
    let connections = match ground {
        Ground::Embedded => 1,
        Ground::Servers => 2,
    };
    let (mut ours, mut limit) = (Measured::default(), Measured::default());
    for round in 0..=effort.rounds {
        let load = scene.saturating(effort.beside_peer / 2, effort.patience);
        let rush = load.run(&scene.log).await?;
        let batches = batches::run(&beside.url(), &sample, connections, effort.batches).await?;
        // The first round is a warm-up.
        if round > 0 {
            ours.add(Run {
                elapsed: rush.whole,
                took: rush.to_integrator(),
            });
            limit.add(batches);
        }
    }
    scene.end().await?;
    ground::end(beside).await;
    let ratio = ours.ratio_to(&limit);
    figures.push(Target::PlainSql.is(ground.database(), &ratio));
    Ok(vec![
        ground.database().to_owned(),
        rate(ours.rate_per_s()),
        rate(limit.rate_per_s()),
        ratio,
    ])
}
