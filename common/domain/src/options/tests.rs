//! The rule of options: by examples, and against a model that counts in another way.

use std::collections::BTreeMap;

use proptest::prelude::*;
use uuid::Uuid;

use super::*;

fn eur(amount: i64) -> Money {
    Money::new(amount, "EUR".parse().unwrap())
}

fn option_id(n: usize) -> OptionId {
    Uuid::from_u128(n as u128).into()
}

fn option(n: usize, price: i64) -> ProductOption {
    ProductOption {
        id: option_id(n),
        name: format!("option {n}"),
        price,
        available: true,
        is_default: false,
        sku: None,
        product_id: None,
        translations: Translations::default(),
    }
}

fn group(name: &str, (min, max): (u32, u32), options: Vec<ProductOption>) -> OptionGroup {
    OptionGroup {
        id: Uuid::from_u128(99).into(),
        store_id: Uuid::from_u128(1).into(),
        name: name.to_owned(),
        min,
        max,
        position: 0,
        options,
        translations: Translations::default(),
        version: 1,
        created_at: DateTime::UNIX_EPOCH,
    }
}

fn asked(named: &[(usize, u32)]) -> AskedOptions {
    let named = named.iter().map(|(n, quantity)| AskedOption {
        id: option_id(*n),
        quantity: *quantity,
    });
    AskedOptions {
        named: named.collect(),
        are_repeated: false,
    }
}

fn chosen(groups: &[OptionGroup], asked: &AskedOptions) -> Result<Vec<(usize, u32)>, Vec<String>> {
    let groups: Vec<&OptionGroup> = groups.iter().collect();
    match choose(&groups, asked, eur(0)) {
        Ok(choice) => Ok(choice
            .options
            .iter()
            .map(|one| {
                (
                    usize::try_from(one.id.uuid().as_u128()).unwrap(),
                    one.quantity,
                )
            })
            .collect()),
        Err(wrong) => Err(wrong.iter().map(ToString::to_string).collect()),
    }
}

#[test]
fn a_group_that_must_be_chosen_from_is_named_if_nobody_did() {
    let size = group("Size", (1, 1), vec![option(1, 0), option(2, 100)]);
    let groups = [size];
    assert_eq!(
        chosen(&groups, &asked(&[])),
        Err(vec!["Size: choose at least 1".to_owned()])
    );
    assert_eq!(
        chosen(&groups, &asked(&[(1, 1), (2, 1)])),
        Err(vec!["Size: choose at most 1".to_owned()])
    );
    assert_eq!(
        chosen(&groups, &asked(&[(7, 1), (2, 1), (2, 1)])),
        Err(vec![
            "the product has no such option".to_owned(),
            "is named twice".to_owned(),
        ])
    );
    assert_eq!(chosen(&groups, &asked(&[(2, 1)])), Ok(vec![(2, 1)]));
    assert_eq!(
        chosen(&[], &asked(&[(2, 1)])),
        Err(vec!["the product has no such option".to_owned()])
    );
}

#[test]
fn a_default_is_taken_unless_its_group_is_named() {
    let mut onions = option(1, 0);
    onions.is_default = true;
    let groups = [group("Toppings", (0, 3), vec![onions, option(2, 50)])];
    assert_eq!(chosen(&groups, &asked(&[])), Ok(vec![(1, 1)]));
    assert_eq!(chosen(&groups, &asked(&[(2, 2)])), Ok(vec![(2, 2)]));
    assert_eq!(chosen(&groups, &asked(&[(1, 0)])), Ok(vec![]), "declined");
    assert_eq!(chosen(&groups, &asked(&[(2, 0)])), Ok(vec![]), "declined");
    // An item without onions is repeated without them, but a new duty to choose is met by the default.
    let repeated = AskedOptions {
        are_repeated: true,
        ..asked(&[])
    };
    assert_eq!(chosen(&groups, &repeated), Ok(vec![]));
    let mut groups = groups;
    groups[0].min = 1;
    assert_eq!(chosen(&groups, &repeated), Ok(vec![(1, 1)]));
}

#[test]
fn a_price_is_neither_below_zero_nor_above_the_limit() {
    let with = |price, quantity| {
        let one = ProductOption {
            price,
            ..option(1, 0)
        };
        let groups = [group("G", (0, 100), vec![one])];
        let groups: Vec<&OptionGroup> = groups.iter().collect();
        let choice = choose(&groups, &asked(&[(1, quantity)]), eur(0)).unwrap();
        let price = unit_price(eur(250), &choice.options);
        if let Ok(price) = price {
            assert_eq!(base_price(price, &choice.options), eur(250));
        }
        price
    };
    assert_eq!(with(-125, 2), Ok(eur(0)));
    assert_eq!(with(-126, 2), Err(WrongOption::BelowZero));
    assert_eq!(with(MAX_AMOUNT - 250, 1), Ok(eur(MAX_AMOUNT)));
    assert_eq!(with(MAX_AMOUNT, 1), Err(WrongOption::PriceTooLarge));
    assert_eq!(with(i64::MAX, 100), Err(WrongOption::PriceTooLarge));
}

#[derive(Clone, Debug)]
struct PlannedGroup {
    bounds: (u32, u32),
    options: Vec<(i64, bool, bool)>,
}

fn planned_group() -> impl Strategy<Value = PlannedGroup> {
    let option = (-300_i64..500, any::<bool>(), any::<bool>());
    (0_u32..3, 0_u32..4, prop::collection::vec(option, 0..5)).prop_map(|(min, more, options)| {
        PlannedGroup {
            bounds: (min, min + more),
            options,
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn random_choices_are_as_the_model_counts_them(
        plan in prop::collection::vec(planned_group(), 0..4),
        named in prop::collection::vec((0_usize..12, 0_u32..4), 0..5),
        base in 0_i64..600,
    ) {
        // The options are numbered through all groups.
        let mut next = 0;
        let groups: Vec<OptionGroup> = plan.iter().map(|planned| {
            let options = planned.options.iter().map(|(price, available, is_default)| {
                next += 1;
                ProductOption { available: *available, is_default: *is_default, ..option(next - 1, *price) }
            });
            group("G", planned.bounds, options.collect())
        }).collect();
        let flat: Vec<(usize, (i64, bool, bool))> = plan.iter().enumerate()
            .flat_map(|(group, planned)| planned.options.iter().map(move |option| (group, *option)))
            .collect();

        let mut wanted: BTreeMap<usize, u32> = BTreeMap::new();
        let mut is_wrong = false;
        for (n, quantity) in &named {
            is_wrong |= *n >= flat.len() || wanted.insert(*n, *quantity).is_some();
        }
        let touched: Vec<usize> = wanted.keys().filter_map(|n| flat.get(*n)).map(|(group, _)| *group).collect();
        for (n, (group, (_, _, is_default))) in flat.iter().enumerate() {
            if *is_default && !touched.contains(group) {
                wanted.insert(n, 1);
            }
        }
        for (at, planned) in plan.iter().enumerate() {
            let of_group = wanted.iter().filter(|(n, _)| flat.get(**n).is_some_and(|(group, _)| *group == at));
            let count: u32 = of_group.map(|(_, quantity)| quantity).sum();
            is_wrong |= count < planned.bounds.0 || count > planned.bounds.1;
        }
        wanted.retain(|_, quantity| *quantity > 0);

        let groups: Vec<&OptionGroup> = groups.iter().collect();
        match choose(&groups, &asked(&named), eur(0)) {
            Err(wrong) => prop_assert!(is_wrong, "{wrong:?}"),
            Ok(choice) => {
                prop_assert!(!is_wrong);
                let got: BTreeMap<usize, u32> = choice.options.iter()
                    .map(|one| (usize::try_from(one.id.uuid().as_u128()).unwrap(), one.quantity)).collect();
                prop_assert_eq!(&got, &wanted);
                let sold_out: Vec<OptionId> = wanted.keys().filter(|n| !flat[**n].1.1).map(|n| option_id(*n)).collect();
                prop_assert_eq!(choice.unavailable, sold_out);
                let sum = base + wanted.iter().map(|(n, quantity)| flat[*n].1.0 * i64::from(*quantity)).sum::<i64>();
                let expected = if sum < 0 { Err(WrongOption::BelowZero) } else { Ok(eur(sum)) };
                prop_assert_eq!(unit_price(eur(base), &choice.options), expected);
            }
        }
    }
}
