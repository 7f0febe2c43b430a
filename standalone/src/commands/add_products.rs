//! `expediter add-products`: creates twenty sample products, except those whose sku exists.

use std::process::ExitCode;

use domain::{ids::StoreId, menu::Details, money::Money, store::Store};
use ledger::{
    ChangeError, Ledger,
    products::{NewProduct, ProductRefused},
};
use runtime::config::Settings;
use uuid::Uuid;

use super::{beside::CommandLedger, say};
use crate::refusal::Refusal;

/// Name, price in hundredths of the currency unit, and stock; their skus are numbered.
const PRODUCTS: [(&str, i64, u32); 20] = [
    ("Sourdough loaf", 480, 30),
    ("Rye loaf", 450, 30),
    ("Butter croissant", 220, 80),
    ("Almond croissant", 310, 40),
    ("Cheese straw", 190, 60),
    ("Tomato soup", 650, 25),
    ("Lentil soup", 620, 25),
    ("Caesar salad", 980, 20),
    ("Grain bowl", 1090, 20),
    ("Margherita", 940, 30),
    ("Four cheeses", 1120, 30),
    ("Mushroom risotto", 1290, 15),
    ("Lemon tart", 420, 24),
    ("Chocolate cake", 460, 16),
    ("Apple crumble", 430, 18),
    ("Still water", 250, 200),
    ("Sparkling water", 260, 200),
    ("Apple juice", 340, 90),
    ("Cold brew", 410, 50),
    ("Chai latte", 430, 50),
];
/// Maximum number of stores listed if there is more than one.
const STORES: u32 = 10;

pub(crate) async fn add(settings: &Settings, store: Option<Uuid>) -> Result<ExitCode, Refusal> {
    let beside = CommandLedger::open_without_keys(settings).await?;
    let added = add_to(&beside.ledger, store.map(StoreId::from)).await;
    beside.close().await;
    let (store, made) = added?;
    let known = PRODUCTS.len() - made;
    say(format_args!(
        "{}: {made} products created, {known} already existed.",
        store.name
    ));
    Ok(ExitCode::SUCCESS)
}

async fn add_to(ledger: &Ledger, store: Option<StoreId>) -> Result<(Store, usize), Refusal> {
    let store = choose_store(ledger, store).await?;
    let mut made = 0;
    for (index, (name, hundredths, stock)) in PRODUCTS.iter().enumerate() {
        let currency = store.currency;
        let amount = match currency.decimals() {
            0 => *hundredths,
            decimals => hundredths * 10_i64.pow(decimals - 2),
        };
        let new = NewProduct {
            store_id: store.id,
            sku: Some(format!("SAMPLE-{:02}", index + 1)),
            name: (*name).to_owned(),
            description: None,
            price: Money::new(amount, currency),
            available: true,
            stock: Some(*stock),
            option_group_ids: Vec::new(),
            details: Details::default(),
        };
        match ledger.create_product(new, None).await {
            Ok(_) => made += 1,
            Err(ChangeError::Refused(ProductRefused::SkuTaken)) => {}
            Err(error) => return Err(Refusal::failed("creating a product")(error)),
        }
    }
    Ok((store, made))
}

/// Returns the given store, else the only one.
pub(super) async fn choose_store(ledger: &Ledger, said: Option<StoreId>) -> Result<Store, Refusal> {
    let failed = "reading the store";
    if let Some(id) = said {
        let found = ledger.store(id).await.map_err(Refusal::failed(failed))?;
        let open = found.filter(|store| store.archived_at.is_none());
        return open.ok_or(Refusal::NoSuchStore { id });
    }
    let stores = ledger.stores(None, None, STORES).await;
    let mut stores = stores.map_err(Refusal::failed(failed))?;
    match (stores.pop(), stores.is_empty()) {
        (Some(only), true) => Ok(only),
        (None, _) => Err(Refusal::NoStore),
        (Some(last), false) => {
            stores.push(last);
            let named = stores
                .iter()
                .map(|store| format!("{} {}", store.id, store.name));
            Err(Refusal::WhichStore {
                stores: named.collect::<Vec<_>>().join("; "),
            })
        }
    }
}
