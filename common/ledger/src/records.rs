//! Records of what people change besides orders. They are written in the change's own transaction.

use domain::{
    actor::Actor,
    ids::{RecordId, StoreId},
    record::{Action, Record, Subject, difference},
};
use serde::Serialize;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::{Change, Ledger, Result, actor};
pub use store::records::{RecordFilter, TrailFilter, TrailPage};

impl Ledger {
    /// Lists records, newest first, at most `limit`; `before` is the last of the previous page.
    #[crate::boxed]
    pub async fn records(
        &self,
        filter: &RecordFilter,
        before: Option<RecordId>,
        limit: u32,
    ) -> Result<Vec<Record>> {
        let mut tx = self.inner.db.read().await?;
        Ok(store::records::list(&mut tx, filter, before, limit).await?)
    }
}

impl Ledger {
    /// Lists the audit trail, newest first: at most `limit` records that match, among a bounded number that are examined;
    /// `before` is where the previous page ended.
    #[crate::boxed]
    pub async fn audit_trail(
        &self,
        filter: &TrailFilter,
        before: Option<RecordId>,
        limit: u32,
    ) -> Result<TrailPage> {
        let mut tx = self.inner.db.read().await?;
        Ok(store::records::trail(&mut tx, filter, before, limit).await?)
    }
}

/// Subject of a record: what it is, its id, and the stores that it belongs to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct About<'s> {
    pub(crate) subject: Subject,
    pub(crate) id: Uuid,
    pub(crate) stores: &'s [StoreId],
}

impl Change<'_> {
    /// Records the fields that differ, if there are any or it is no edit.
    pub(crate) fn record<T: Serialize>(
        &mut self,
        about: About<'_>,
        action: Action,
        before: Option<&T>,
        after: &T,
    ) {
        let fields = difference(before, after);
        if action != Action::Edited || !fields.is_empty() {
            self.record_fields(about, action, fields);
        }
    }

    /// Records a change by a person or a program, once for each store that it is about. Work of the
    /// system itself is not recorded, unless it has a name.
    pub(crate) fn record_fields(
        &mut self,
        about: About<'_>,
        action: Action,
        fields: Map<String, Value>,
    ) {
        if self.actor == Actor::SYSTEM {
            return;
        }
        let address = actor::address().map(|address| address.to_string());
        let stores: Vec<Option<StoreId>> = match about.stores {
            [] => vec![None],
            stores => stores.iter().copied().map(Some).collect(),
        };
        for store_id in stores {
            let id = self.inner.chance.id(self.now);
            self.records.push(Record {
                id,
                store_id,
                subject: about.subject,
                subject_id: about.id,
                action,
                at: self.now,
                actor: self.actor.clone(),
                address: address.clone(),
                fields: fields.clone(),
            });
        }
    }
}

#[cfg(test)]
mod tests;
