//! Section 12: an order's cost in databases with few and with very many old orders, measured in turns.

use domain::ids::StoreId;
use ledger::testing::TestLedger;
use platform::clock::Clock;
use uuid::Uuid;

use crate::{
    bare::Bare,
    effort::Effort,
    expediter::{Expediter, Shop},
    ground::Ground,
    history::History,
    million::catch_up,
    report::{Measured, Section, rate},
    samples::Run,
    scene::Scene,
    targets::{Figure, Target},
};

/// Stores besides the one whose orders are measured, which has half of the old ones.
const OTHER_STORES: usize = 19;

/// `more`: another number of old orders, for which the machine needs time and disk.
pub(crate) async fn measure(effort: &Effort, more: Option<i64>) -> anyhow::Result<Section> {
    let (mut rows, mut figures) = (Vec::new(), Vec::new());
    let sizes: Vec<i64> = effort.old_orders.iter().copied().chain(more).collect();
    for ground in Ground::all() {
        rows.extend(on(ground, effort, &sizes, &mut figures).await?);
    }
    Ok(Section {
        number: 12,
        title: "An order among old ones",
        about: "A year's ended orders of 20 stores, one item, one event and one acknowledged handoff each, half of them at the \
                measured store and all at its integrator; 400 are still open. They are tallied before. One program for each number, each with a database of its own \
                on the same server, all running at once; each in turn gets the saturating load of section 8 while the \
                others are idle. The cost is the time an order takes at the rate end to end, compared with that of the \
                first row in the same round.",
        columns: vec![
            "ground",
            "old orders",
            "end to end, orders/s",
            "to integrator: p50 ms",
            "p99 ms",
            "max ms",
            "ms an order",
            "÷ with the fewest",
        ],
        rows,
        figures,
        limiting_factor: "The depth of indexes, and the pages of them that no longer fit into the database's cache.",
    })
}

async fn on(
    ground: Ground,
    effort: &Effort,
    sizes: &[i64],
    figures: &mut Vec<Figure>,
) -> anyhow::Result<Vec<Vec<String>>> {
    let mut all = Vec::new();
    for orders in sizes {
        let expediter = Expediter::start(ground).await?;
        let scene = Scene::after(expediter, async |expediter, shop| {
            // Its sweeps would count the old orders meanwhile.
            expediter.process.kill()?;
            write(expediter, shop, *orders).await?;
            expediter.process.start_again().await
        });
        all.push((scene.await?, Measured::default()));
    }
    for (scene, _) in &all {
        let warm_up = scene.saturating(effort.warm_up, effort.patience);
        warm_up.run(&scene.log).await?;
    }
    for _ in 0..effort.rounds {
        for (scene, measured) in &mut all {
            let load = scene.saturating(effort.beside_peer / 2, effort.patience);
            let rush = load.run(&scene.log).await?;
            measured.add(Run {
                elapsed: rush.whole,
                took: rush.to_integrator(),
            });
        }
    }
    let mut rows = Vec::new();
    if let Some((_, fewest)) = all.first() {
        for ((_, measured), orders) in all.iter().zip(sizes) {
            let ratio = fewest.ratio_to(measured);
            if *orders > sizes[0] {
                let of = format!("{}, {orders} old", ground.name());
                figures.push(Target::OldOrders.is(&of, &ratio));
            }
            let mut row = vec![
                ground.name().to_owned(),
                orders.to_string(),
                rate(measured.rate_per_s()),
            ];
            row.extend(measured.spread());
            row.extend([format!("{:.2}", 1e3 / measured.rate_per_s()), ratio]);
            rows.push(row);
        }
    }
    for (scene, _) in all {
        scene.end().await?;
    }
    Ok(rows)
}

async fn write(expediter: &Expediter, shop: &Shop, orders: i64) -> anyhow::Result<()> {
    let database = expediter.database()?;
    let house = TestLedger::with_clock(database.db.clone(), Clock::system());
    let mut stores = vec![StoreId::from(shop.store.parse::<Uuid>()?)];
    for _ in 0..OTHER_STORES {
        stores.push(house.create_store().await);
    }
    let integrator = Some(shop.integrator.parse()?);
    let mut connection = Bare::connect(&database.url()).await?;
    let now = house.clock.now();
    History::write(&mut connection, &stores, orders, integrator, now).await?;
    catch_up(&house.ledger).await?;
    Ok(())
}
