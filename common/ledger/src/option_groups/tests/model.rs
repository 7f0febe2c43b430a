//! Random menus, options and edits against a model that is written by hand and uses no rule of `domain`.

mod menu;
mod rules;

use std::collections::BTreeMap;

use rand::{Rng, SeedableRng, rngs::StdRng};

use super::{NewOption, euros, kept, options, with};
use crate::{
    ChangeError,
    intake::{Line, PlaceRefused, Placer},
    option_groups::OptionGroupEdit,
    orders::{EditRefused, ItemsEdit, OrderEdit, OrderRefused},
    scene::{STOCK, Scene},
    testing::{TestLedger, on_mysql, on_sqlite},
};
use domain::{
    ids::{OptionId, ProductId},
    options::OptionGroup,
    order::Order,
    status::{By, OrderStatus},
};
use platform::chance::Chance;

const HISTORIES: u64 = 60;
const HISTORIES_ON_MYSQL: u64 = 6;
const STEPS: u32 = 40;
/// Price of the product.
const BASE: i64 = 250;
const SHOTS: u32 = 6;

/// Result of a step, as the model expects it and as the ledger answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Said {
    Done,
    Wrong,
    OptionUnavailable,
    ProductUnavailable,
    Short,
    NoItems,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct ModelLine {
    quantity: u32,
    /// Quantity, price as sold, and index of the counted product.
    options: BTreeMap<OptionId, (u32, i64, Option<usize>)>,
}

#[derive(Clone, Debug, PartialEq)]
struct ModelOrder {
    is_draft: bool,
    lines: Vec<ModelLine>,
}

struct Game<'s> {
    scene: &'s Scene,
    random: StdRng,
    groups: Vec<OptionGroup>,
    /// The product, and those that options take.
    counted: Vec<ProductId>,
    left: Vec<i64>,
    orders: Vec<(Order, ModelOrder)>,
    seen: BTreeMap<Said, u32>,
}

type Asked = Vec<(OptionId, u32)>;
/// Quantity, price of one piece, and options with their quantities and prices.
type ShownItem = (u32, i64, Vec<(OptionId, u32, i64)>);

impl Game<'_> {
    fn some_options(&mut self) -> Asked {
        let ids: Vec<OptionId> = self
            .groups
            .iter()
            .flat_map(|group| &group.options)
            .map(|one| one.id)
            .collect();
        let mut asked = Asked::new();
        for id in ids {
            if self.random.random_range(0..3) == 0 {
                asked.push((id, self.random.random_range(0..3)));
            }
        }
        match self.random.random_range(0..20) {
            0 => asked.push((self.scene.house.chance.id(self.scene.house.clock.now()), 1)),
            1 if !asked.is_empty() => asked.push(asked[0]),
            _ => {}
        }
        asked
    }

    async fn step(&mut self) -> Result<(), String> {
        let known = self.orders.len();
        let done = match self.random.random_range(0..10) {
            0..=2 => self.begin().await,
            3 => self.edit_menu().await,
            _ if known == 0 => Ok(()),
            act => {
                let at = self.random.random_range(0..known);
                match act {
                    4..=7 => self.edit(at).await,
                    8 if self.orders[at].1.is_draft => self.place(at).await,
                    8 => Ok(()),
                    _ => self.remove(at).await,
                }
            }
        };
        done?;
        for (at, product) in self.counted.iter().enumerate() {
            let stock = self.scene.stock_of(*product).await;
            if stock != self.left[at] {
                return Err(format!("stock {at} is {stock}, not {}", self.left[at]));
            }
        }
        Ok(())
    }

    async fn begin(&mut self) -> Result<(), String> {
        let is_draft = self.random.random_range(0..3) == 0;
        let house = &self.scene.house;
        let mut wanted = self.scene.wanted(Placer::Account(house.new_account_id()));
        wanted.lines.clear();
        let mut lines = Vec::new();
        for _ in 0..self.random.random_range(1..3) {
            let (quantity, asked) = (self.random.random_range(1..4), self.some_options());
            wanted
                .lines
                .push(with(self.scene.product, quantity, &asked));
            lines.push(self.choose(quantity, &asked, false));
        }
        let none = vec![0; self.counted.len()];
        let expected = self.judge(&lines, is_draft, &none);
        let ledger = &self.scene.house.ledger;
        let answer = if is_draft {
            ledger.draft_order(&wanted).await
        } else {
            ledger.place_order(wanted).await.map(|placed| placed.order)
        };
        let lines = lines.into_iter().flatten().map(|(line, _)| line).collect();
        let order = ModelOrder { is_draft, lines };
        let answer = answer.map_err(place_said);
        if let Some(real) = self.heard(expected, answer, &order)? {
            self.take(&order, &none);
            self.orders.push((real, order));
        }
        Ok(())
    }

    async fn edit(&mut self, at: usize) -> Result<(), String> {
        let (real, before) = self.orders[at].clone();
        let held = before.holds(self.counted.len());
        let (quantity, asked) = (self.random.random_range(1..4), self.some_options());
        let line: Line = with(self.scene.product, quantity, &asked);
        let mut after = before.clone();
        let lines = before.lines.len();
        let which = self.random.random_range(0..lines.max(1));
        let (items, expected) = match self.random.random_range(0..5) {
            what if what < 2 || lines == 0 => {
                let new = self.choose(quantity, &asked, false);
                let mut judged = self.judge(
                    std::slice::from_ref(&new),
                    before.is_draft,
                    &[i64::MIN / 2; 4],
                );
                if what == 0 {
                    after.lines.clear();
                }
                after.lines.extend(new.map(|(line, _)| line));
                if matches!(judged, Said::Done | Said::Short) {
                    judged = self.judge_stock(&after, &held);
                }
                let items = if what == 0 {
                    ItemsEdit::Replace(vec![line])
                } else {
                    ItemsEdit::Add(line)
                };
                (items, judged)
            }
            2 => {
                after.lines.remove(which);
                let is_empty = after.lines.is_empty() && !before.is_draft;
                let said = if is_empty { Said::NoItems } else { Said::Done };
                (ItemsEdit::Remove(real.items[which].id), said)
            }
            what => {
                let old = &before.lines[which];
                let is_more = quantity > old.quantity;
                let mut said = Said::Done;
                let mut new = ModelLine {
                    quantity,
                    ..old.clone()
                };
                let chosen = (what == 3).then(|| asked.clone());
                if let Some(asked) = &chosen {
                    match self.choose(quantity, asked, false) {
                        None => said = Said::Wrong,
                        Some((_, true)) if !before.is_draft => said = Said::OptionUnavailable,
                        Some((line, _)) => new = line,
                    }
                } else if is_more && !before.is_draft && !self.all_available(old) {
                    said = Said::ProductUnavailable;
                }
                after.lines[which] = new;
                if said == Said::Done {
                    said = self.judge_stock(&after, &held);
                }
                let items = ItemsEdit::Change {
                    item: real.items[which].id,
                    quantity: Some(quantity),
                    options: chosen.map(|asked| options(&asked)),
                    note: None,
                };
                (items, said)
            }
        };
        let edit = OrderEdit {
            items,
            ..OrderEdit::default()
        };
        let ledger = &self.scene.house.ledger;
        let answer = ledger.edit_order(real.id, None, &edit).await;
        let answer = answer.map_err(|error| match error {
            ChangeError::Refused(EditRefused::Place(refused)) => said(&refused),
            error => panic!("{error}"),
        });
        if let Some(real) = self.heard(expected, answer, &after)? {
            self.take(&after, &held);
            self.orders[at] = (real, after);
        }
        Ok(())
    }

    async fn place(&mut self, at: usize) -> Result<(), String> {
        let (real, draft) = self.orders[at].clone();
        let none = vec![0; self.counted.len()];
        let lines: Vec<_> = draft
            .lines
            .iter()
            .map(|line| {
                let asked = line
                    .options
                    .iter()
                    .map(|(id, (quantity, ..))| (*id, *quantity));
                self.choose(line.quantity, &asked.collect::<Asked>(), true)
            })
            .collect();
        let expected = match self.judge(&lines, false, &none) {
            _ if lines.is_empty() => Said::NoItems,
            judged => judged,
        };
        let order = ModelOrder {
            is_draft: false,
            lines: lines.into_iter().flatten().map(|(line, _)| line).collect(),
        };
        let answer = self
            .scene
            .house
            .ledger
            .place_draft(real.id, By::Owner, None)
            .await;
        let answer = answer.map_err(|error| match error {
            ChangeError::Refused(OrderRefused::Place(refused)) => said(&refused),
            error => panic!("{error}"),
        });
        if let Some(real) = self.heard(expected, answer, &order)? {
            self.take(&order, &none);
            self.orders[at] = (real, order);
        }
        Ok(())
    }

    async fn remove(&mut self, at: usize) -> Result<(), String> {
        let (real, order) = self.orders.swap_remove(at);
        let ledger = &self.scene.house.ledger;
        let removed = ledger.remove_order(real.id, By::Owner, None).await.unwrap();
        if let Some(cancelled) = removed {
            assert_eq!(cancelled.status, OrderStatus::Cancelled);
        }
        let held = order.holds(self.counted.len());
        for (left, held) in self.left.iter_mut().zip(held) {
            *left += held;
        }
        Ok(())
    }

    fn all_available(&self, line: &ModelLine) -> bool {
        let offered = || self.groups.iter().flat_map(|group| &group.options);
        line.options
            .keys()
            .all(|id| offered().any(|one| one.id == *id && one.available))
    }

    fn take(&mut self, order: &ModelOrder, held: &[i64]) {
        let holds = order.holds(self.counted.len());
        for ((left, holds), held) in self.left.iter_mut().zip(holds).zip(held) {
            *left -= holds - held;
        }
    }

    /// Compares an answer with the expected one; returns the order if there is one.
    fn heard(
        &mut self,
        expected: Said,
        answer: Result<Order, Said>,
        order: &ModelOrder,
    ) -> Result<Option<Order>, String> {
        let heard = answer.as_ref().err().copied().unwrap_or(Said::Done);
        if heard != expected {
            return Err(format!("said {heard:?}, not {expected:?}: {order:?}"));
        }
        *self.seen.entry(heard).or_default() += 1;
        let Ok(real) = answer else { return Ok(None) };
        let total: i64 = order
            .lines
            .iter()
            .map(|line| line.unit() * i64::from(line.quantity))
            .sum();
        let shown: Vec<ShownItem> = real
            .items
            .iter()
            .map(|item| {
                let mut options: Vec<_> = item
                    .options
                    .iter()
                    .map(|one| (one.id, one.quantity, one.price.amount))
                    .collect();
                options.sort_unstable();
                (item.quantity, item.unit_price.amount, options)
            })
            .collect();
        let expected: Vec<ShownItem> = order
            .lines
            .iter()
            .map(|line| {
                let options = line.options.iter();
                let options = options.map(|(id, (quantity, price, _))| (*id, *quantity, *price));
                (line.quantity, line.unit(), options.collect::<Vec<_>>())
            })
            .collect();
        if shown != expected || real.total != euros(total) {
            return Err(format!("is {shown:?}, not {expected:?}"));
        }
        Ok(Some(real))
    }
}

fn said(refused: &PlaceRefused) -> Said {
    match refused {
        PlaceRefused::WrongOptions { .. } => Said::Wrong,
        PlaceRefused::OptionsUnavailable { .. } => Said::OptionUnavailable,
        PlaceRefused::Unavailable { .. } => Said::ProductUnavailable,
        PlaceRefused::InsufficientStock { .. } => Said::Short,
        PlaceRefused::NoItems => Said::NoItems,
        other => panic!("{other}"),
    }
}

fn place_said(error: ChangeError<PlaceRefused>) -> Said {
    match error {
        ChangeError::Refused(refused) => said(&refused),
        error => panic!("{error}"),
    }
}

async fn play(house: &TestLedger, histories: u64) -> BTreeMap<Said, u32> {
    let first = u64::from_le_bytes(Chance::system().bytes());
    let mut seen = BTreeMap::new();
    for seed in (0..histories).map(|n| first.wrapping_add(n)) {
        let scene = Scene::new(house).await;
        let mut game = Game {
            scene: &scene,
            random: StdRng::seed_from_u64(seed),
            groups: Vec::new(),
            counted: vec![
                scene.product,
                scene.counted(SHOTS).await,
                scene.counted(SHOTS).await,
            ],
            left: vec![STOCK, SHOTS.into(), SHOTS.into()],
            orders: Vec::new(),
            seen: std::mem::take(&mut seen),
        };
        for _ in 0..game.random.random_range(1..4) {
            let options = (0..game.random.random_range(1..4)).map(|_| game.new_option());
            let options = options.collect();
            game.groups.push(scene.group((0, 2), options).await);
        }
        let ids: Vec<_> = game.groups.iter().map(|group| group.id).collect();
        scene.offers(scene.product, &ids).await;
        for step in 0..STEPS {
            if let Err(broken) = game.step().await {
                panic!("seed {seed}, step {step}: {broken}");
            }
        }
        seen = game.seen;
        drop(house.woken.take());
    }
    assert_eq!(
        house.ledger.audit().await.unwrap(),
        [],
        "seed {first} and on"
    );
    seen
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_menus_options_and_edits_are_as_the_model_counts_them() {
    on_sqlite(async |house: TestLedger| {
        let seen = play(&house, HISTORIES).await;
        // Histories that draw too little would find nothing.
        for said in [
            Said::Done,
            Said::Wrong,
            Said::OptionUnavailable,
            Said::Short,
            Said::NoItems,
        ] {
            assert!(seen.contains_key(&said), "{said:?}: {seen:?}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_menus_options_and_edits_on_mysql_are_as_the_model_counts_them() {
    on_mysql(async |house: TestLedger| drop(play(&house, HISTORIES_ON_MYSQL).await)).await;
}
