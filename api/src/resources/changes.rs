//! `GET /changes`: who changed a store's settings, menu, integrators, accounts, keys and sessions.

use domain::{ids::RecordId, record::Record};
use ledger::records::RecordFilter;
use poem_openapi::{Object, OpenApi, param::Query, payload::Json};
use serde_json::Value;
use uuid::Uuid;

use crate::{
    access::topic::Topic,
    auth::Caller,
    http::{
        enums,
        paging::{Cursor, Limit, Page},
        problem::Problem,
        scalars::Time,
    },
    resources::{orders::ActorView, stores::rights::visible_stores},
    state::ApiState,
};

#[derive(Clone, Debug)]
pub(crate) struct Changes(pub(crate) ApiState);

/// One change by a person or a program.
#[derive(Debug, Object)]
#[oai(rename = "Change")]
struct ChangeView {
    id: Uuid,
    at: Time,
    /// Null for what belongs to no store, such as an operator's account.
    store_id: Option<Uuid>,
    subject: enums::ChangeSubject,
    /// Id of the store, category, option group, product, integrator, account, API key or session.
    subject_id: Uuid,
    action: enums::ChangeAction,
    actor: ActorView,
    /// Fields that changed, each as `{"from","to"}`. Secrets have no values.
    fields: Value,
}

#[OpenApi(tag = "Topic::Stores")]
impl Changes {
    /// List changes by people, newest first
    ///
    /// Shows who created, edited, archived or deleted a store, a category, an option group, a product (price, availability,
    /// stock), an integrator (listeners too) or an account, who made or ended an API key, and who opened, closed or renewed
    /// a session. Changes of orders are the order's events. Managers see those of their
    /// stores, operators all; a change of an account is listed once for each of its stores. Work of
    /// Expediter itself is not listed.
    #[oai(path = "/changes", method = "get", operation_id = "list_changes")]
    async fn list(
        &self,
        caller: Caller,
        Query(store_id): Query<Option<Uuid>>,
        /// Id of the store, category, option group, product, integrator, account, API key or session.
        Query(subject_id): Query<Option<Uuid>>,
        limit: Limit,
        cursor: Cursor<RecordId>,
    ) -> Result<Json<Page<ChangeView>>, Problem> {
        let filter = RecordFilter {
            stores: visible_stores(&caller, store_id.map(Into::into))?,
            subject: subject_id,
        };
        let found = self
            .0
            .ledger
            .records(&filter, cursor.0, limit.0 + 1)
            .await?;
        Ok(Json(Page::of(
            found,
            limit,
            |record| record.id.uuid(),
            ChangeView::of,
        )))
    }
}

impl ChangeView {
    fn of(record: Record) -> Self {
        Self {
            id: record.id.uuid(),
            at: record.at.into(),
            store_id: record.store_id.map(domain::ids::StoreId::uuid),
            subject: record.subject.into(),
            subject_id: record.subject_id,
            action: record.action.into(),
            actor: record.actor.into(),
            fields: Value::Object(record.fields),
        }
    }
}
