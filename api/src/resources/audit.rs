//! `GET /audit`: the trail of what people changed, for operators.

use ledger::records::TrailFilter;
use poem_openapi::{Object, OpenApi, param::Query, payload::Json};
use serde_json::Value;
use uuid::Uuid;

use crate::{
    access::topic::Topic,
    auth::Caller,
    http::{
        enums,
        paging::{Cursor, Limit, Page, cursor},
        problem::Problem,
        scalars::Time,
    },
    resources::orders::ActorView,
    state::ApiState,
};
use domain::{ids::RecordId, record::Record};

#[derive(Clone, Debug)]
pub(crate) struct AuditTrail(pub(crate) ApiState);

/// One entry of the audit trail.
#[derive(Debug, Object)]
struct AuditEntry {
    id: Uuid,
    at: Time,
    /// Null for what belongs to no store, such as an operator's account.
    store_id: Option<Uuid>,
    subject: enums::ChangeSubject,
    /// Id of what was changed; of a customer whose data was exported or erased, that of the request.
    subject_id: Uuid,
    action: enums::ChangeAction,
    /// The account, as of then. `system` with a name: `console`, a command on the server; `sign-in`, the limit of wrong
    /// passwords.
    actor: ActorView,
    /// Client address of the request, for IPv6 its /64 network; null without a request, and for what an older version
    /// wrote.
    address: Option<String>,
    /// Fields that changed, each as `{"from","to"}`, or facts of the action. Secrets have no values.
    fields: Value,
}

#[OpenApi(tag = "Topic::DataProtection")]
impl AuditTrail {
    /// List the audit trail, newest first
    ///
    /// Shows who changed accounts, roles, integrators, secrets, settings of stores, menus, stock and sessions, who had
    /// messages sent again, who exported or erased a customer's data, and which account had so many wrong passwords that its
    /// sign-ins were limited; each with the client's address. A change of an account or a key is listed once for each of
    /// its stores. Changes of orders are the orders' events. Entries older than `audit.retention_days` are gone. A page
    /// may have fewer entries than `limit`, even none: the list ends where `next_cursor` is null.
    #[oai(path = "/audit", method = "get", operation_id = "list_audit_trail")]
    #[expect(
        clippy::too_many_arguments,
        reason = "each is a query parameter of its own"
    )]
    async fn list(
        &self,
        _caller: Caller,
        Query(store_id): Query<Option<Uuid>>,
        /// Id of the account that made the change.
        Query(actor_id): Query<Option<Uuid>>,
        /// Only changes of this kind of thing.
        Query(subject): Query<Option<enums::ChangeSubject>>,
        /// Id of what was changed.
        Query(subject_id): Query<Option<Uuid>>,
        /// Only this action.
        Query(action): Query<Option<enums::ChangeAction>>,
        /// At or after this time.
        Query(from): Query<Option<Time>>,
        /// Before this time.
        Query(to): Query<Option<Time>>,
        limit: Limit,
        before: Cursor<RecordId>,
    ) -> Result<Json<Page<AuditEntry>>, Problem> {
        let filter = TrailFilter {
            store: store_id.map(Into::into),
            actor: actor_id,
            subject: subject.map(Into::into),
            subject_id,
            action: action.map(Into::into),
            from: from.map(|at| at.0),
            to: to.map(|at| at.0),
        };
        let ledger = &self.0.ledger;
        let page = ledger.audit_trail(&filter, before.0, limit.0).await?;
        Ok(Json(Page {
            items: page.records.into_iter().map(AuditEntry::of).collect(),
            next_cursor: page.next.map(|last| cursor(last.uuid())),
        }))
    }
}

impl AuditEntry {
    fn of(record: Record) -> Self {
        Self {
            id: record.id.uuid(),
            at: record.at.into(),
            store_id: record.store_id.map(domain::ids::StoreId::uuid),
            subject: record.subject.into(),
            subject_id: record.subject_id,
            action: record.action.into(),
            actor: record.actor.into(),
            address: record.address,
            fields: Value::Object(record.fields),
        }
    }
}
