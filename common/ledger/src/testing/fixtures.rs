//! Default inputs for tests. A test names what it is about and takes the rest with `..`.

use domain::{
    account::Role,
    ids::{ProductId, StoreId},
    integrator::{CallbackAuth, Confirms, Format, IntegratorKind, OutboundAuth, UnknownPolicy},
    money::Money,
    order::{Customer, Fulfilment},
    session::Session,
};

use crate::{
    accounts::NewAccount,
    intake::{Line, PlaceOrder, Placer, ProductRef},
    integrators::NewIntegrator,
    products::NewProduct,
};

#[must_use]
pub fn euros(cents: i64) -> Money {
    Money::new(cents, "EUR".parse().expect("a currency"))
}

/// Builds a product that never runs out and costs 2.50.
#[must_use]
pub fn new_product(store_id: StoreId) -> NewProduct {
    NewProduct {
        store_id,
        sku: None,
        name: "Espresso".to_owned(),
        description: None,
        price: euros(250),
        available: true,
        stock: None,
        option_group_ids: Vec::new(),
        details: Default::default(),
    }
}

/// Builds a kitchen whose 2xx accepts orders.
#[must_use]
pub fn new_integrator(store_id: StoreId) -> NewIntegrator {
    NewIntegrator {
        store_id,
        further_stores: Vec::new(),
        name: "Kitchen".to_owned(),
        kind: IntegratorKind::Kitchen,
        format: Format::Order,
        events: None,
        url: "https://kitchen.example/orders".parse().expect("a URL"),
        required: None,
        confirms: Confirms::Acknowledgement,
        unknown_policy: UnknownPolicy::Resend,
        callback_auth: CallbackAuth::Signature,
        auth: OutboundAuth::None,
        status_map: Default::default(),
        answers: Default::default(),
        max_attempts: 5,
        concurrency: 4,
        rate_per_s: None,
    }
}

/// Builds an account without stores and integrators, whose password nobody knows.
#[must_use]
pub fn new_account(username: &str, role: Role) -> NewAccount {
    NewAccount {
        username: username.to_owned(),
        password_hash: "none".to_owned(),
        role,
        stores: Vec::new(),
        integrators: Vec::new(),
    }
}

#[must_use]
pub fn line(product: ProductId, quantity: u32) -> Line {
    Line {
        product: ProductRef::Id(product),
        quantity,
        options: Default::default(),
        note: None,
    }
}

/// Builds an order for pickup, without a session.
#[must_use]
pub fn new_order(store_id: StoreId, placer: Placer, lines: Vec<Line>) -> PlaceOrder {
    PlaceOrder {
        store_id,
        session: None,
        placer,
        reference: None,
        fulfilment: Fulfilment::Pickup,
        wanted_at: None,
        customer: Customer::default(),
        lines,
        user_note: None,
        expected_total: None,
        idempotency: None,
        replaces: None,
        trace: None,
    }
}

/// Builds an order of one piece, by a guest without a key.
#[must_use]
pub fn guest_order(session: &Session, product: ProductId) -> PlaceOrder {
    let placer = Placer::Guest { key_hash: None };
    PlaceOrder {
        session: Some(session.id),
        fulfilment: Fulfilment::Table,
        ..new_order(session.store_id, placer, vec![line(product, 1)])
    }
}
