//! Section 8: a load that saturates the machine, then loads on a schedule at shares of the rate that it reached.

use crate::{
    effort::Effort,
    ground::Ground,
    report::{Section, rate, spread},
    rush::{CLIENTS, Rush},
    samples::Spread,
    scene::Scene,
    targets::{Figure, Target},
};

/// Shares of the measured capacity, in percent.
const SHARES: [u32; 4] = [25, 50, 75, 100];

pub(crate) async fn measure(effort: &Effort) -> anyhow::Result<Section> {
    let (mut rows, mut figures) = (Vec::new(), Vec::new());
    for ground in Ground::all() {
        on(ground, effort, &mut rows, &mut figures).await?;
    }
    Ok(Section {
        number: 8,
        title: "Saturated, and on a schedule",
        about: "First 64 clients place orders as fast as they are answered; the capacity is the rate of orders that reached \
                their integrator, until the last one of them did. Then orders come on a schedule, at shares of this \
                capacity, whether or not earlier ones were answered. Delays run from the scheduled moment (the timer's \
                millisecond included), so that a stall shows in the delays of all orders that it holds up; in the first \
                row they run from the request. \"Worst second\" is the lowest handed over ÷ accepted of any whole second, from the \
                second one on. Every other order is a guest's at one of 64 tables, and has a socket.",
        columns: vec![
            "ground",
            "load",
            "accepted/s",
            "handed over meanwhile/s",
            "end to end/s",
            "worst second",
            "to integrator: p50 ms",
            "p99 ms",
            "max ms",
            "to socket: p50 ms",
            "p99 ms",
            "max ms",
            "refused (503)",
            "not handed over in time",
        ],
        rows,
        figures,
        limiting_factor: "At 100 % every pause of the machine makes a queue that cannot shrink again before the load ends; the \
                     delays at 75 % and less are those of a healthy kitchen.",
    })
}

async fn on(
    ground: Ground,
    effort: &Effort,
    rows: &mut Vec<Vec<String>>,
    figures: &mut Vec<Figure>,
) -> anyhow::Result<()> {
    let scene = Scene::open(ground).await?;
    let warm_up = scene.saturating(effort.warm_up, effort.patience);
    warm_up.run(&scene.log).await?;
    let saturated = scene
        .saturating(effort.saturation, effort.patience)
        .run(&scene.log)
        .await?;
    let capacity = saturated.end_to_end_per_s();
    rows.push(row(
        ground,
        format!("saturated, {CLIENTS} clients"),
        &saturated,
    ));
    if let Some(worst) = saturated.worst_second() {
        figures.push(Target::HandedOver.is(ground.name(), format!("{worst:.2}")));
    }
    for share in SHARES {
        let per_s = capacity * f64::from(share) / 100.0;
        let load = scene.scheduled(per_s, effort.scheduled, effort.patience);
        let rush = load.run(&scene.log).await?;
        rows.push(row(ground, format!("{share} %: {per_s:.0}/s"), &rush));
    }
    scene.end().await
}

fn row(ground: Ground, load: String, rush: &Rush) -> Vec<String> {
    let mut row = vec![
        ground.name().to_owned(),
        load,
        rate(rush.accepted_per_s()),
        rate(rush.handed_over_meanwhile_per_s()),
        rate(rush.end_to_end_per_s()),
        rush.worst_second()
            .map_or_else(|| "–".to_owned(), |worst| format!("{worst:.2}")),
    ];
    row.extend(spread(Spread::of(rush.to_integrator())));
    row.extend(spread(Spread::of(rush.to_socket())));
    row.extend([rush.refused.to_string(), rush.left().to_string()]);
    row
}
