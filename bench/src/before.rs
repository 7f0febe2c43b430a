//! Section 16: the whole way on SQLite, in turns with an earlier build.

use std::path::Path;

use crate::{
    effort::Effort,
    expediter::Expediter,
    ground::Ground,
    report::{Measured, Section, rate},
    samples::Run,
    scene::Scene,
    targets::Target,
};

pub(crate) async fn measure(effort: &Effort, program: &Path) -> anyhow::Result<Section> {
    let ours = Scene::open(Ground::Embedded).await?;
    let theirs = Scene::on(Expediter::of_build(program).await?).await?;
    let (mut now, mut before) = (Measured::default(), Measured::default());
    for round in 0..=effort.rounds {
        for (scene, measured) in [(&ours, &mut now), (&theirs, &mut before)] {
            let load = scene.saturating(effort.beside_peer, effort.patience);
            let rush = load.run(&scene.log).await?;
            // The first round is a warm-up.
            if round > 0 {
                measured.add(Run {
                    elapsed: rush.whole,
                    took: rush.to_integrator(),
                });
            }
        }
    }
    ours.end().await?;
    theirs.end().await?;
    let rows = [("this build", &now), ("the earlier one", &before)].map(|(name, measured)| {
        let mut row = vec![name.to_owned(), rate(measured.rate_per_s())];
        row.extend(measured.spread());
        row.push(measured.ratio_to(&before));
        row
    });
    let ratio = now.ratio_to(&before);
    Ok(Section {
        number: 16,
        title: "Beside an earlier build",
        about: "The saturating load of section 8 on two standalone programs with SQLite, in turns.",
        columns: vec![
            "build",
            "end to end, orders/s",
            "to integrator: p50 ms",
            "p99 ms",
            "max ms",
            "÷ the earlier one",
        ],
        rows: rows.into(),
        figures: vec![Target::Before.is("SQLite, embedded broker", ratio)],
        limiting_factor: "As in sections 3 and 8.",
    })
}
