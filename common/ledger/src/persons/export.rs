//! Everything known of a person, page by page.

use serde_json::{Map, json};

use super::{KnownPerson, ORDERS_PER_READ, PersonRefused, account_of, facts};
use crate::{ChangeResult, CrashPoints, Ledger, in_one_transaction, records::About};
use domain::{
    account::Account,
    ids::{IntegratorId, OrderId},
    order::Order,
    person::PersonKind,
    record::{Action, Subject},
};
use uuid::Uuid;

/// Maximum number of orders that one page examines.
const MAX_EXAMINED: u32 = 20_000;
/// Number of orders after which a page ends.
const MAX_ORDERS: usize = 50;

/// An order of the person, and the integrators that may have received it.
#[derive(Clone, Debug)]
pub struct ExportedOrder {
    pub order: Order,
    pub recipients: Vec<IntegratorId>,
}

/// A page of what is known of a person.
#[derive(Clone, Debug, Default)]
pub struct PersonPage {
    /// The person's account, if there is one.
    pub account: Option<Account>,
    pub orders: Vec<ExportedOrder>,
    /// Number of orders that were looked at.
    pub examined: u32,
    /// Order after which the next page begins; `None` if all have been looked at.
    pub next: Option<OrderId>,
}

impl Ledger {
    /// Returns the orders of a person by id, after `after`, among a bounded number that are looked at. It is recorded.
    #[crate::boxed]
    pub async fn export_person(
        &self,
        known: &KnownPerson,
        after: Option<OrderId>,
    ) -> ChangeResult<PersonPage, PersonRefused> {
        let mut tx = self.inner.db.read().await?;
        let account = account_of(&mut tx, &known.person).await?;
        let id = account.as_ref().map(|account| account.id);
        let by_account = id.filter(|_| known.person.kind == PersonKind::Account);
        let mut page = PersonPage {
            // On the first page only, which is always on record.
            account: account.filter(|_| after.is_none()),
            next: after,
            ..PersonPage::default()
        };
        let mut found: Vec<OrderId> = Vec::new();
        loop {
            let place = (page.next, Uuid::max());
            let passed = store::erasures::pass(&mut tx, by_account, place, ORDERS_PER_READ).await?;
            page.examined += passed.passed;
            let theirs = passed.candidates.iter().filter(|order| {
                (id.is_some() && order.account_id == id)
                    || known.person.has(order.account_id, &order.customer)
            });
            found.extend(theirs.map(|order| order.id));
            if passed.passed < ORDERS_PER_READ {
                page.next = None;
                break;
            }
            page.next = passed.last;
            if found.len() >= MAX_ORDERS || page.examined >= MAX_EXAMINED {
                break;
            }
        }
        if found.len() > MAX_ORDERS {
            found.truncate(MAX_ORDERS);
            page.next = found.last().copied();
        }
        let mut orders = store::orders::many(&mut tx, &found).await?;
        orders.sort_by_key(|order| order.id);
        let reached = store::orders::integrators_reached(&mut tx, &found).await?;
        tx.rollback().await;
        let with_recipients = orders.into_iter().map(|order| {
            let of_order = reached.iter().filter(|(id, _)| *id == order.id);
            ExportedOrder {
                recipients: of_order.map(|(_, integrator)| *integrator).collect(),
                order,
            }
        });
        page.orders = with_recipients.collect();
        // A page without any order tells nothing.
        if after.is_none() || !page.orders.is_empty() {
            self.record_export(known, page.orders.len()).await?;
        }
        Ok(page)
    }

    async fn record_export(&self, known: &KnownPerson, orders: usize) -> crate::Result<()> {
        in_one_transaction!(&self.inner, CrashPoints::NONE, |change| {
            let id: Uuid = change.inner.chance.id(change.now);
            let about = About {
                subject: Subject::Customer,
                id,
                stores: &[],
            };
            let mut fields = Map::from_iter([("orders".to_owned(), json!(orders))]);
            fields.extend(facts(known.person.kind, &known.hash));
            change.record_fields(about, Action::Exported, fields);
            change.set_resource(id);
            Ok(())
        })
    }
}
