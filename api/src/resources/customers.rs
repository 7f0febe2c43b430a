//! `/customers`: the data of one person, handed out and erased. Both are POST, because a phone number does not belong into
//! an address, which gateways log.

use domain::{
    erasure::{Erasure, WaitingOrder},
    ids::{ErasureId, IntegratorId, OrderId},
    person::Person,
    status::By,
};
use ledger::{
    ChangeError,
    persons::{ExportedOrder, KnownPerson, PersonPage, PersonRefused},
};
use poem_openapi::{Object, OpenApi, param::Path, payload::Json};
use uuid::Uuid;

use crate::{
    access::topic::Topic,
    auth::Caller,
    http::{
        body::Checked,
        enums,
        idempotency::{IdempotencyKey, once},
        paging::{self, Cursor, Limit, Page, cursor},
        problem::{Problem, Reason},
        response::{Answer, StartedErasure},
        scalars::Time,
    },
    resources::orders::{ActorView, OrderView},
    state::ApiState,
};

#[derive(Clone, Debug)]
pub(crate) struct Customers(pub(crate) ApiState);

/// A person, by exactly one of the fields.
#[derive(Debug, Object)]
struct EraseCustomer {
    /// Id of a customer's account.
    account_id: Option<Uuid>,
    /// Phone as orders have it: `+49 30 …` and `0049 (0)30-…` are one, and without the country's code it is another.
    #[oai(validator(min_length = 5, max_length = 50))]
    phone: Option<String>,
    /// E-mail address, in whatever case.
    #[oai(validator(min_length = 3, max_length = 254))]
    email: Option<String>,
}

/// A person, by exactly one of `account_id`, `phone` and `email`.
#[derive(Debug, Object)]
struct ExportCustomer {
    /// Id of a customer's account.
    account_id: Option<Uuid>,
    /// Phone as orders have it: `+49 30 …` and `0049 (0)30-…` are one, and without the country's code it is another.
    #[oai(validator(min_length = 5, max_length = 50))]
    phone: Option<String>,
    /// E-mail address, in whatever case.
    #[oai(validator(min_length = 3, max_length = 254))]
    email: Option<String>,
    /// `next_cursor` of the previous answer, to continue where it stopped.
    #[oai(validator(max_length = 100))]
    cursor: Option<String>,
}

/// A request to erase a person's data, and how far it is. It does not say who the person is.
#[derive(Debug, Object)]
#[oai(rename = "Erasure")]
struct ErasureView {
    id: Uuid,
    by: enums::PersonKind,
    state: enums::ErasureState,
    requested_at: Time,
    requested_by: ActorView,
    /// The person's account, which is disabled at once and erased last; null if there is none.
    account_id: Option<Uuid>,
    /// Number of orders that were looked at.
    examined: i64,
    /// Number of orders that were erased.
    erased: i64,
    /// Orders that cannot be erased yet. They are looked at again every five minutes.
    waiting: Vec<WaitingOrderView>,
    /// Integrators that may have received an order of the person: tell them.
    recipients: Vec<Uuid>,
    /// Time at which everything was erased.
    done_at: Option<Time>,
}

/// An order that is not erased yet, and why.
#[derive(Debug, Object)]
#[oai(rename = "WaitingOrder")]
struct WaitingOrderView {
    order_id: Uuid,
    waits_for: enums::ErasureWaitsFor,
}

/// Data of one person, page by page.
#[derive(Debug, Object)]
struct CustomerExport {
    /// The person's account; null if there is none.
    account: Option<ExportedAccount>,
    orders: Vec<ExportedOrderView>,
    /// Number of orders that were looked at for this page.
    examined: u32,
    /// Value of `cursor` for the next page, which may have no order; null once all orders have been looked at.
    next_cursor: Option<String>,
}

/// An account of a customer.
#[derive(Debug, Object)]
struct ExportedAccount {
    id: Uuid,
    username: String,
    created_at: Time,
    disabled: bool,
}

/// An order of a person.
#[derive(Debug, Object)]
#[oai(rename = "ExportedOrder")]
struct ExportedOrderView {
    order: OrderView,
    /// Integrators that may have received it.
    recipients: Vec<Uuid>,
}

#[OpenApi(tag = "Topic::DataProtection")]
impl Customers {
    /// Export what is known of a customer
    ///
    /// Returns the customer's account and orders, oldest first, with the integrators that may have received each. By phone
    /// or e-mail all orders are looked at, so many for each answer: repeat the call with `cursor` until `next_cursor` is
    /// null. It is in the audit trail, with a keyed hash of the person.
    #[oai(
        path = "/customers/export",
        method = "post",
        operation_id = "export_customer"
    )]
    async fn export(
        &self,
        _caller: Caller,
        Checked(wanted): Checked<ExportCustomer>,
    ) -> Result<Json<CustomerExport>, Problem> {
        let person = person(
            wanted.account_id,
            wanted.phone.as_deref(),
            wanted.email.as_deref(),
        )?;
        let after = wanted.cursor.as_deref().map(paging::decode).transpose();
        let after: Option<OrderId> =
            after.map_err(|_| Problem::invalid_field("/cursor", "is not a valid cursor"))?;
        let known = self.known(person);
        let page = self.0.ledger.export_person(&known, after).await?;
        Ok(Json(page.into()))
    }

    /// Erase what is known of a customer
    ///
    /// Removes the person's name, phone, e-mail, address and notes from their orders and every copy of these: events,
    /// messages to integrators with their answers, updates, closed sessions that bear the name, and a customer's account. It is
    /// done in the background, beginning half a minute later; `GET /customers/erasures/{id}` shows how far it is. Orders
    /// that are placed after the request stay. Open orders are not touched: they are listed, and erased once they have
    /// ended. Sums, numbers and items of orders stay. A request about the same person that is not done is returned
    /// instead. It is in the audit trail, with a keyed hash of the person.
    #[oai(
        path = "/customers/erase",
        method = "post",
        operation_id = "erase_customer"
    )]
    async fn erase(
        &self,
        caller: Caller,
        key: IdempotencyKey,
        Checked(wanted): Checked<EraseCustomer>,
    ) -> Result<Answer<ErasureView, StartedErasure>, Problem> {
        let key = key.of(&self.0, caller.id().uuid(), &wanted)?;
        let person = person(
            wanted.account_id,
            wanted.phone.as_deref(),
            wanted.email.as_deref(),
        )?;
        let known = self.known(person);
        let (erasure, replayed) = once(
            &self.0,
            key,
            async |ledger| {
                let erasure = ledger.request_erasure(&known).await?;
                tracing::info!(erasure = %erasure.id, by = %caller.id(), "erasure of a customer requested");
                Ok::<_, ChangeError<PersonRefused>>(erasure)
            },
            async |id| self.erasure(id.into()).await,
        )
        .await?;
        let location = format!("/api/v1/customers/erasures/{}", erasure.id);
        Ok(Answer::of(ErasureView::from(erasure))
            .at(location)
            .replayed(replayed))
    }

    /// List requests to erase, newest first
    #[oai(
        path = "/customers/erasures",
        method = "get",
        operation_id = "list_erasures"
    )]
    async fn list(
        &self,
        _caller: Caller,
        limit: Limit,
        cursor: Cursor<ErasureId>,
    ) -> Result<Json<Page<ErasureView>>, Problem> {
        let ledger = &self.0.ledger;
        let found = ledger.erasures(cursor.0, limit.0 + 1).await?;
        let page = Page::of(found, limit, |one| one.id.uuid(), ErasureView::from);
        Ok(Json(page))
    }

    /// Get a request to erase, and how far it is
    #[oai(
        path = "/customers/erasures/:id",
        method = "get",
        operation_id = "get_erasure"
    )]
    async fn get(&self, _caller: Caller, id: Path<Uuid>) -> Result<Json<ErasureView>, Problem> {
        let erasure = self.erasure(id.0.into()).await?;
        Ok(Json(erasure.into()))
    }
}

impl Customers {
    async fn erasure(&self, id: ErasureId) -> Result<Erasure, Problem> {
        let found = self.0.ledger.erasure(id).await?;
        found.ok_or_else(Problem::not_found)
    }

    /// Returns the person with the hash that the audit trail has. Phones are few, so that only a key keeps them from being
    /// guessed.
    fn known(&self, person: Person) -> KnownPerson {
        let named = format!("expediter person 1\n{}\n{}", person.kind, person.value);
        KnownPerson {
            hash: self.0.keys.fingerprint.sign(named.as_bytes()),
            person,
        }
    }
}

/// Returns the person of a request; refuses none, several, and what is no phone or address.
fn person(
    account_id: Option<Uuid>,
    phone: Option<&str>,
    email: Option<&str>,
) -> Result<Person, Problem> {
    let wrong =
        |pointer: &'static str, what: &'static str| move || Problem::invalid_field(pointer, what);
    match (account_id, phone, email) {
        (Some(id), None, None) => Ok(Person::account(id.into())),
        (None, Some(phone), None) => {
            Person::phone(phone).ok_or_else(wrong("/phone", "must be a phone number"))
        }
        (None, None, Some(email)) => {
            Person::email(email).ok_or_else(wrong("/email", "must be an e-mail address"))
        }
        _ => Err(wrong(
            "",
            "must have exactly one of account_id, phone and email",
        )()),
    }
}

impl From<PersonRefused> for Problem {
    fn from(refused: PersonRefused) -> Self {
        match refused {
            PersonRefused::NoSuchAccount => Self::not_found(),
            PersonRefused::NotACustomer => {
                let detail =
                    "The account is not a customer's. Disable it: its changes stay on record.";
                Self::new(Reason::Conflict).detail(detail)
            }
        }
    }
}

impl From<Erasure> for ErasureView {
    fn from(erasure: Erasure) -> Self {
        let state = erasure.state().into();
        let progress = erasure.progress;
        Self {
            id: erasure.id.uuid(),
            by: erasure.kind.into(),
            state,
            requested_at: erasure.requested_at.into(),
            requested_by: erasure.requested_by.into(),
            account_id: erasure.account_id.map(domain::ids::AccountId::uuid),
            examined: progress.examined,
            erased: progress.erased,
            waiting: progress.waiting.into_iter().map(Into::into).collect(),
            recipients: uuids(&progress.recipients),
            done_at: erasure.done_at.map(Into::into),
        }
    }
}

impl From<WaitingOrder> for WaitingOrderView {
    fn from(waiting: WaitingOrder) -> Self {
        Self {
            order_id: waiting.order_id.uuid(),
            waits_for: waiting.waits_for.into(),
        }
    }
}

impl From<PersonPage> for CustomerExport {
    fn from(page: PersonPage) -> Self {
        Self {
            account: page.account.map(|account| ExportedAccount {
                id: account.id.uuid(),
                username: account.username,
                created_at: account.created_at.into(),
                disabled: account.disabled,
            }),
            orders: page.orders.iter().map(ExportedOrderView::of).collect(),
            examined: page.examined,
            next_cursor: page.next.map(|last| cursor(last.uuid())),
        }
    }
}

impl ExportedOrderView {
    fn of(exported: &ExportedOrder) -> Self {
        Self {
            order: OrderView::of(&exported.order, Some(By::Operator)),
            recipients: uuids(&exported.recipients),
        }
    }
}

fn uuids(integrators: &[IntegratorId]) -> Vec<Uuid> {
    integrators.iter().map(|id| id.uuid()).collect()
}
