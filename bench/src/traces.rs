//! Section 17: what an order costs more whose trace is recorded.

use anyhow::Context;

use crate::{
    effort::Effort,
    expediter::Expediter,
    footprint::processor_ms,
    ground::Ground,
    integrator::Integrator,
    report::{Section, rate},
    samples::median,
    scene::Scene,
    targets::Target,
};

/// Parts of the orders whose trace is recorded; `None` without a collector.
const RATIOS: [Option<f64>; 3] = [None, Some(0.05), Some(1.0)];

/// A program, and what each round measured on it.
struct Measured {
    ratio: Option<f64>,
    scene: Scene,
    processor_ms: Vec<f64>,
    rates_per_s: Vec<f64>,
}

pub(crate) async fn measure(effort: &Effort) -> anyhow::Result<Section> {
    // It answers 200 to everything.
    let collector = Integrator::start(|_, _| {}).await?;
    let mut all = Vec::new();
    for ratio in RATIOS {
        let settings = ratio.map(|ratio| {
            [
                (
                    "telemetry.otlp_url",
                    format!("http://{}", collector.address),
                ),
                ("telemetry.otlp_trace_ratio", ratio.to_string()),
            ]
        });
        let settings = settings.into_iter().flatten().collect();
        let expediter = Expediter::start_with(Ground::Embedded, settings).await?;
        all.push(Measured {
            ratio,
            scene: Scene::on(expediter).await?,
            processor_ms: Vec::new(),
            rates_per_s: Vec::new(),
        });
    }
    for round in 0..=effort.rounds {
        for turn in 0..all.len() {
            // Each one comes first, second and third: what ran before costs those that follow.
            let place = (round + turn) % all.len();
            let one = &mut all[place];
            let pid = one.scene.expediter.pid();
            let busy = || processor_ms(pid).context("the program has ended");
            let load = one.scene.saturating(effort.beside_peer, effort.patience);
            let before = busy()?;
            let rush = load.run(&one.scene.log).await?;
            let orders = rush.accepted() as f64;
            // The first round is a warm-up.
            if round > 0 {
                one.processor_ms.push((busy()? - before) as f64 / orders);
                one.rates_per_s.push(orders / rush.whole.as_secs_f64());
            }
        }
    }
    let ratios_to_first = |values: fn(&Measured) -> &[f64], of: &Measured| {
        let rounds = values(of).iter().zip(values(&all[0]));
        median(rounds.map(|(its, first)| its / first)).unwrap_or_default()
    };
    let usual = 1.0 / ratios_to_first(|one| &one.rates_per_s, &all[1]);
    let rows = all.iter().map(|one| {
        let middle = |values: &[f64]| median(values.iter().copied()).unwrap_or_default();
        vec![
            one.ratio.map_or_else(
                || "no collector".to_owned(),
                |ratio| format!("{} %", ratio * 100.0),
            ),
            rate(middle(&one.rates_per_s)),
            format!("{:.2}", ratios_to_first(|one| &one.rates_per_s, one)),
            format!("{:.2}", middle(&one.processor_ms)),
            format!("{:.2}", ratios_to_first(|one| &one.processor_ms, one)),
        ]
    });
    let rows = rows.collect();
    for one in all {
        one.scene.end().await?;
    }
    Ok(Section {
        number: 17,
        title: "Cost of traces",
        about: "The saturating load of section 8 on three standalone programs with SQLite, in turns: without a collector, with \
                the usual part of the requests recorded, and with all of them. Each order has five to eight spans. Ratios are \
                medians of the rounds' ratios to the program without a collector.",
        columns: vec![
            "recorded",
            "end to end, orders/s",
            "÷ without",
            "processor ms an order: program",
            "÷ without",
        ],
        rows,
        figures: vec![Target::Traces.is("SQLite, 5 % recorded", format!("{usual:.2}"))],
        limiting_factor: "The processor: making spans and writing them as protobuf.",
    })
}
