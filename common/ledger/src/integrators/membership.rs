//! The stores that an integrator belongs to: its first one for good, and further ones that it joins and leaves.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::{IntegratorEdit, IntegratorRefused};
use crate::{Change, ChangeResult};
use domain::{ids::StoreId, integrator::Integrator};

/// Returns the further stores once each, by id.
pub(super) fn distinct(further: &[StoreId], first: StoreId) -> Vec<StoreId> {
    let stores: BTreeSet<StoreId> = further.iter().copied().collect();
    stores.into_iter().filter(|store| *store != first).collect()
}

/// Refuses stores that do not exist or are archived.
pub(super) async fn check_open(
    change: &mut Change<'_>,
    stores: &[StoreId],
) -> ChangeResult<(), IntegratorRefused> {
    let found = store::stores::many(&mut change.tx, stores).await?;
    let is_open = |id: &&StoreId| {
        let mut found = found.iter();
        found.any(|store| store.id == **id && store.archived_at.is_none())
    };
    match stores.iter().find(|id| !is_open(id)) {
        Some(&store) => Err(IntegratorRefused::NoSuchFurtherStore { store }.into()),
        None => Ok(()),
    }
}

/// Lets a locked integrator join and leave stores; returns its further ones before and after. It stays with its first store, where a
/// process of the release before, which knows no further ones, still finds it.
pub(super) async fn edit_stores(
    change: &mut Change<'_>,
    integrator: &Integrator,
    edit: &IntegratorEdit,
) -> ChangeResult<(Vec<StoreId>, Vec<StoreId>), IntegratorRefused> {
    let (id, first) = (integrator.id, integrator.store_id);
    let current = store::integrators::further_stores(&mut change.tx, &[id]).await?;
    let current: BTreeSet<StoreId> = current.into_iter().map(|(_, store)| store).collect();
    let before: Vec<StoreId> = current.iter().copied().collect();
    let Some(wanted) = &edit.stores else {
        return Ok((before.clone(), before));
    };
    let mut wanted: BTreeSet<StoreId> = wanted.iter().copied().collect();
    if !wanted.remove(&first) {
        return Err(IntegratorRefused::FirstStoreMissing.into());
    }
    let joined: Vec<StoreId> = wanted.difference(&current).copied().collect();
    let left: Vec<StoreId> = current.difference(&wanted).copied().collect();
    check_open(change, &joined).await?;
    let now = change.now;
    store::integrators::join_stores(&mut change.tx, id, &joined, now).await?;
    store::integrators::leave_stores(&mut change.tx, id, &left, now).await?;
    Ok((before, wanted.into_iter().collect()))
}

/// Notes among the fields of a record which further stores an integrator had and has, if they differ.
pub(super) fn note_stores(fields: &mut Map<String, Value>, from: &[StoreId], to: &[StoreId]) {
    if from != to {
        let stores = json!({"from": from, "to": to});
        fields.insert("further_stores".to_owned(), stores);
    }
}
