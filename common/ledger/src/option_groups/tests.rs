//! Groups of options, and what is sold with them.

mod model;

use each_database::each_database;
use futures_util::future::join_all;

use super::{NewOption, NewOptionGroup, OptionGroupEdit, OptionGroupRefused};
use crate::{
    intake::{Line, PlaceRefused, Placer},
    orders::{EditRefused, ItemsEdit, OrderEdit},
    products::{ProductEdit, ProductRefused},
    scene::{STOCK, Scene},
    testing::{
        TestLedger,
        fixtures::{euros, line},
        refusal,
    },
};
use domain::{
    ids::{OptionGroupId, OptionId, ProductId},
    options::{AskedOption, AskedOptions, OptionGroup, WrongOption},
    order::Order,
    status::{By, OrderStatus},
    translations::Translations,
};

fn option(name: &str, cents: i64) -> NewOption {
    NewOption {
        id: None,
        name: name.to_owned(),
        price: euros(cents),
        available: true,
        is_default: false,
        sku: None,
        product_id: None,
        translations: None,
    }
}

/// Returns an option of the group as it is.
fn kept(group: &OptionGroup, at: usize) -> NewOption {
    let one = &group.options[at];
    NewOption {
        id: Some(one.id),
        name: one.name.clone(),
        price: euros(one.price),
        available: one.available,
        is_default: one.is_default,
        sku: one.sku.clone(),
        product_id: one.product_id,
        translations: None,
    }
}

fn options(asked: &[(OptionId, u32)]) -> AskedOptions {
    let named = asked.iter().map(|(id, quantity)| AskedOption {
        id: *id,
        quantity: *quantity,
    });
    AskedOptions {
        named: named.collect(),
        are_repeated: false,
    }
}

fn with(product: ProductId, quantity: u32, asked: &[(OptionId, u32)]) -> Line {
    Line {
        options: options(asked),
        ..line(product, quantity)
    }
}

impl Scene {
    async fn group(&self, bounds: (u32, u32), options: Vec<NewOption>) -> OptionGroup {
        let new = NewOptionGroup {
            store_id: self.store,
            name: "Extras".to_owned(),
            min: bounds.0,
            max: bounds.1,
            position: 0,
            options,
            translations: Translations::default(),
        };
        self.house.ledger.create_option_group(new).await.unwrap()
    }

    /// Lets a product offer these groups.
    async fn offers(&self, product: ProductId, groups: &[OptionGroupId]) {
        let edit = ProductEdit {
            option_group_ids: Some(groups.to_vec()),
            ..ProductEdit::default()
        };
        let edited = self.house.ledger.edit_product(product, None, edit).await;
        edited.unwrap();
    }

    async fn counted(&self, stock: u32) -> ProductId {
        let house = &self.house;
        house
            .create_product_with(self.store, |new| {
                new.stock = Some(stock);
                // An ingredient is not on sale by itself.
                new.available = false;
            })
            .await
    }

    async fn stock_of(&self, product: ProductId) -> i64 {
        let product = self.house.ledger.product(product).await.unwrap();
        product.unwrap().stock.unwrap()
    }

    async fn order_of(&self, line: Line) -> Order {
        self.order_with(|order| order.lines = vec![line]).await
    }

    async fn refused_order(&self, line: Line) -> PlaceRefused {
        let mut wanted = self.wanted(Placer::Account(self.house.new_account_id()));
        wanted.lines = vec![line];
        refusal(self.house.ledger.place_order(wanted).await)
    }

    async fn cancel(&self, order: &Order) {
        let ledger = &self.house.ledger;
        let cancelled = OrderStatus::Cancelled;
        let moved = ledger.move_order(order.id, cancelled, By::Owner, None);
        moved.await.unwrap();
    }
}

#[each_database]
async fn an_item_keeps_its_options_as_they_were_sold_and_gives_their_stock_back_once(
    house: TestLedger,
) {
    let scene = Scene::new(&house).await;
    let shots = scene.counted(10).await;
    let mut shot = option("Shot", 80);
    (shot.product_id, shot.sku) = (Some(shots), Some("SHOT".to_owned()));
    let group = scene
        .group((0, 3), vec![shot, option("Own cup", -20)])
        .await;
    scene.offers(scene.product, &[group.id]).await;
    let (shot, cup) = (group.options[0].id, group.options[1].id);

    let order = scene
        .order_of(with(scene.product, 3, &[(cup, 1), (shot, 2)]))
        .await;
    assert_eq!(order.total, euros(3 * (250 + 2 * 80 - 20)));
    assert_eq!(scene.now(order.id).await, order, "as it was answered");
    assert_eq!(
        (scene.stock().await, scene.stock_of(shots).await),
        (STOCK - 3, 4)
    );

    let mut dearer = kept(&group, 0);
    (dearer.name, dearer.price) = ("Double".to_owned(), euros(500));
    let edit = OptionGroupEdit {
        options: Some(vec![dearer]),
        ..OptionGroupEdit::default()
    };
    let edited = house
        .ledger
        .edit_option_group(group.id, Some(1), edit)
        .await;
    assert_eq!(edited.unwrap().version, 2);
    assert_eq!(scene.now(order.id).await, order);
    scene.assert_audit_clean().await;

    join_all((0..5).map(|_| scene.cancel(&order))).await;
    assert_eq!(
        (scene.stock().await, scene.stock_of(shots).await),
        (STOCK, 10)
    );
    scene.assert_audit_clean().await;
}

#[each_database]
async fn an_order_is_refused_for_its_options_by_every_way_in(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let elsewhere = Scene::new(&house).await;
    let foreign = elsewhere.group((0, 1), vec![option("Foreign", 0)]).await;
    let shots = scene.counted(1).await;
    let mut shot = option("Shot", 0);
    shot.product_id = Some(shots);
    let mut gone = option("Gone", 0);
    gone.available = false;
    let size = scene
        .group((1, 2), vec![shot, gone, option("Cheap", -300)])
        .await;
    scene.offers(scene.product, &[size.id]).await;
    let [shot, gone, cheap] = [0, 1, 2].map(|at| size.options[at].id);

    let wrong = |one| PlaceRefused::WrongOptions {
        wrong: vec![(0, one)],
    };
    let too_few = WrongOption::TooFew {
        group: "Extras".to_owned(),
        min: 1,
    };
    let too_many = WrongOption::TooMany {
        group: "Extras".to_owned(),
        max: 2,
    };
    for (asked, refused) in [
        (vec![], too_few),
        (vec![(shot, 3)], too_many),
        (
            vec![(shot, 1), (foreign.options[0].id, 1)],
            WrongOption::Foreign { at: 1 },
        ),
        (vec![(shot, 1), (shot, 1)], WrongOption::Repeated { at: 1 }),
        (vec![(cheap, 1)], WrongOption::BelowZero),
    ] {
        let line = with(scene.product, 1, &asked);
        let mut draft = scene.wanted(Placer::Account(house.new_account_id()));
        draft.lines = vec![line.clone()];
        let drafted = refusal(house.ledger.draft_order(&draft).await);
        assert_eq!(drafted, wrong(refused.clone()), "{asked:?}");
        assert_eq!(scene.refused_order(line).await, wrong(refused), "{asked:?}");
    }
    let unavailable = PlaceRefused::OptionsUnavailable {
        lines: vec![0],
        options: vec![gone],
    };
    let line = with(scene.product, 1, &[(gone, 1)]);
    assert_eq!(scene.refused_order(line).await, unavailable);
    let short = scene
        .refused_order(with(scene.product, 2, &[(shot, 1)]))
        .await;
    assert!(
        matches!(&short, PlaceRefused::InsufficientStock { short } if short[0].product_id == shots),
        "{short}"
    );
    assert_eq!(
        (scene.stock().await, scene.stock_of(shots).await),
        (STOCK, 1)
    );
    scene.assert_audit_clean().await;
}

#[each_database]
async fn options_are_chosen_anew_at_todays_price_and_more_pieces_need_all_of_them(
    house: TestLedger,
) {
    let scene = Scene::new(&house).await;
    let shots = scene.counted(5).await;
    let mut shot = option("Shot", 100);
    shot.product_id = Some(shots);
    let group = scene.group((0, 2), vec![shot, option("Milk", 30)]).await;
    scene.offers(scene.product, &[group.id]).await;
    let (shot, milk) = (group.options[0].id, group.options[1].id);
    let order = scene.order_of(with(scene.product, 2, &[(milk, 1)])).await;
    let item = order.items[0].id;
    let price = ProductEdit {
        price: Some(euros(900)),
        ..ProductEdit::default()
    };
    house
        .ledger
        .edit_product(scene.product, None, price)
        .await
        .unwrap();

    let change = async |quantity, asked: Option<&[(OptionId, u32)]>| {
        let edit = OrderEdit {
            items: ItemsEdit::Change {
                item,
                quantity,
                options: asked.map(options),
                note: None,
            },
            ..OrderEdit::default()
        };
        house.ledger.edit_order(order.id, None, &edit).await
    };
    let edited = change(None, Some(&[(shot, 2)])).await.unwrap();
    assert_eq!(
        edited.items[0].unit_price,
        euros(250 + 200),
        "the product keeps its price"
    );
    assert_eq!(scene.stock_of(shots).await, 1);
    let short = refusal(change(Some(3), None).await);
    assert!(matches!(
        short,
        EditRefused::Place(PlaceRefused::InsufficientStock { .. })
    ));
    change(Some(1), None).await.unwrap();
    assert_eq!(scene.stock_of(shots).await, 3);
    scene.assert_audit_clean().await;

    let mut gone = kept(&group, 0);
    gone.available = false;
    let edit = OptionGroupEdit {
        options: Some(vec![gone, kept(&group, 1)]),
        is_availability_only: true,
        ..OptionGroupEdit::default()
    };
    house
        .ledger
        .edit_option_group(group.id, None, edit)
        .await
        .unwrap();
    let refused = refusal(change(Some(2), None).await);
    assert_eq!(refused, PlaceRefused::Unavailable { lines: vec![0] }.into());
    let edited = change(Some(2), Some(&[])).await.unwrap();
    assert_eq!((edited.total, scene.stock_of(shots).await), (euros(500), 5));
    scene.assert_audit_clean().await;
}

#[each_database]
async fn a_hundred_buyers_of_twenty_shots_leave_none_and_no_order_without_its_own(
    house: TestLedger,
) {
    let scene = Scene::new(&house).await;
    let shots = scene.counted(20).await;
    let mut shot = option("Shot", 80);
    shot.product_id = Some(shots);
    let group = scene.group((0, 2), vec![shot]).await;
    let tea = house.create_product(scene.store).await;
    for product in [scene.product, tea] {
        scene.offers(product, &[group.id]).await;
    }
    let shot = group.options[0].id;
    let buyers = (0..100).map(async |n| {
        let product = if n % 2 == 0 { scene.product } else { tea };
        let mut wanted = scene.wanted(Placer::Account(house.new_account_id()));
        wanted.lines = vec![with(product, 1, &[(shot, 1)])];
        house.ledger.place_order(wanted).await.is_ok()
    });
    let bought = join_all(buyers).await.into_iter().filter(|placed| *placed);
    assert_eq!((bought.count(), scene.stock_of(shots).await), (20, 0));
    scene.assert_audit_clean().await;
}

#[each_database]
async fn a_deleted_group_is_offered_no_more_and_one_of_another_store_never(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let (one, two) = (
        scene.group((1, 1), vec![option("A", 0)]).await,
        scene.group((0, 1), vec![option("B", 0)]).await,
    );
    scene.offers(scene.product, &[two.id, one.id]).await;
    let elsewhere = Scene::new(&house).await;
    let groups = |ids: &[OptionGroupId]| ProductEdit {
        option_group_ids: Some(ids.to_vec()),
        ..ProductEdit::default()
    };
    let foreign = house
        .ledger
        .edit_product(elsewhere.product, None, groups(&[one.id]));
    let refused = ProductRefused::WrongOptionGroup { at: 0 };
    assert_eq!(refusal(foreign.await), refused);
    let twice = house
        .ledger
        .edit_product(scene.product, None, groups(&[two.id, two.id]));
    let refused = ProductRefused::WrongOptionGroup { at: 1 };
    assert_eq!(refusal(twice.await), refused);

    house
        .ledger
        .delete_option_group(one.id, Some(1))
        .await
        .unwrap();
    let product = house.ledger.product(scene.product).await.unwrap().unwrap();
    assert_eq!(product.option_group_ids, [two.id]);
    scene.order_of(line(scene.product, 1)).await;
    let again = refusal(house.ledger.delete_option_group(one.id, None).await);
    assert_eq!(again, OptionGroupRefused::NotFound);
    scene.assert_audit_clean().await;
}

#[each_database]
async fn a_group_is_edited_as_its_version_and_the_callers_rights_allow(house: TestLedger) {
    let scene = Scene::new(&house).await;
    let group = scene
        .group((0, 1), vec![option("A", 0), option("B", 0)])
        .await;
    let edit = |options: Vec<NewOption>, is_availability_only| OptionGroupEdit {
        options: Some(options),
        is_availability_only,
        ..OptionGroupEdit::default()
    };
    let refused = async |edit| refusal(house.ledger.edit_option_group(group.id, None, edit).await);
    let renamed = NewOption {
        name: "C".to_owned(),
        ..kept(&group, 0)
    };
    let more = edit(vec![renamed, kept(&group, 1)], true);
    assert_eq!(refused(more).await, OptionGroupRefused::ChangesMore);
    let fewer = edit(vec![kept(&group, 0)], true);
    assert_eq!(refused(fewer).await, OptionGroupRefused::ChangesMore);
    let default = |at| NewOption {
        is_default: true,
        ..kept(&group, at)
    };
    let stranger = NewOption {
        id: Some(house.chance.id(house.clock.now())),
        ..option("D", 0)
    };
    for (wrong, pointer) in [
        (edit(vec![default(0), default(1)], false), "/options"),
        (
            edit(vec![kept(&group, 0), kept(&group, 0)], false),
            "/options/1/id",
        ),
        (edit(vec![stranger], false), "/options/0/id"),
        (
            OptionGroupEdit {
                min: Some(2),
                ..OptionGroupEdit::default()
            },
            "/min",
        ),
    ] {
        match refused(wrong).await {
            OptionGroupRefused::Wrong(wrong) => assert_eq!(wrong[0].pointer, pointer),
            other => panic!("{other}"),
        }
    }
    let late = house
        .ledger
        .edit_option_group(group.id, Some(7), OptionGroupEdit::default());
    let conflict = OptionGroupRefused::VersionConflict { current: 1 };
    assert_eq!(refusal(late.await), conflict);
    let kept_as_it_is = house.ledger.option_group(group.id).await.unwrap();
    assert_eq!(kept_as_it_is, Some(group));
}
