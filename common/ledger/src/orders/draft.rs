//! Drafts: orders without stock, number or handoffs, until they are placed or deleted.

use super::{OrderRefused, advance, check_unchanged, lines, lock};
use crate::{
    Change, ChangeError, ChangeResult, CrashPoints, Ledger, Result, in_one_transaction,
    intake::{PlaceOrder, PlaceRefused, Placer, lock_draft_scope, place_draft},
};
use domain::{
    ids::OrderId,
    money::Money,
    order::{Order, OrderSession, total},
    session::SessionState,
    status::{self, By, OrderStatus},
    timing::{self, Timing},
};
use store::{StoreError, events::Counter, orders::NewOrder};

/// Retention of a draft that nobody places.
const DRAFT_RETENTION: chrono::Duration = chrono::Duration::days(7);
/// Maximum number of drafts that one transaction deletes, and of transactions in one pruning.
const MAX_PRUNED: u32 = 500;
const MAX_PRUNING_RUNS: u32 = 4;

impl Ledger {
    /// Creates a draft at today's prices. Neither stock nor availability is checked. [`Ledger::once`] makes it
    /// idempotent: the order's own key is ignored.
    #[crate::boxed]
    pub async fn draft_order(&self, wanted: &PlaceOrder) -> ChangeResult<Order, PlaceRefused> {
        in_one_transaction!(&self.inner, CrashPoints::ORDERS, |change| {
            let draft = build_draft(change, wanted).await?;
            let row = NewOrder {
                order: &draft,
                placed_by: wanted.placed_by(),
                last_seq: 0,
            };
            match store::orders::insert(&mut change.tx, &[row]).await {
                Ok(()) => {}
                Err(StoreError::UniqueKeyTaken) => {
                    return Err(reference_taken(change, wanted).await?);
                }
                Err(error) => return Err(error.into()),
            }
            change.set_resource(draft.id.uuid());
            Ok(draft)
        })
    }

    /// Places a draft as intake places an order: today's prices, stock, number, handoffs. A draft that is already
    /// placed stays as it is.
    #[crate::boxed]
    pub async fn place_draft(
        &self,
        id: OrderId,
        by: By,
        expected_total: Option<Money>,
    ) -> ChangeResult<Order, OrderRefused> {
        self.place_draft_if_unchanged(id, None, by, expected_total)
            .await
    }

    /// Places a draft if it still is as it was `seen`.
    #[crate::boxed]
    pub async fn place_draft_if_unchanged(
        &self,
        id: OrderId,
        seen: Option<&Order>,
        by: By,
        expected_total: Option<Money>,
    ) -> ChangeResult<Order, OrderRefused> {
        in_one_transaction!(&self.inner, CrashPoints::INTAKE, |change| {
            let read = store::orders::get(&mut change.tx, id).await?;
            let read = read.ok_or(OrderRefused::Unknown)?;
            let place = lock_draft_scope(change, &read).await?;
            let locked = store::orders::lock(&mut change.tx, id).await?;
            let (draft, last_seq) = locked.ok_or(OrderRefused::Unknown)?;
            check_unchanged(&draft, seen)?;
            change.set_resource(id.uuid());
            if draft.status == OrderStatus::Pending {
                return Ok(copy_session_name(draft, &read));
            }
            let facts = draft.move_facts();
            status::decide(draft.status, OrderStatus::Pending, by, None, facts)?;
            if draft.session.is_none() {
                let stream = draft.id.into();
                change.register_stream(stream, Counter::Order, draft.store_id, last_seq);
            }
            place_draft(change, place, &draft, expected_total)
                .await
                .map_err(|error| error.map_refused(Into::into))
        })
    }

    /// Deletes a draft (and returns `None`), or cancels an order that was placed.
    #[crate::boxed]
    pub async fn remove_order(
        &self,
        id: OrderId,
        by: By,
        reason: Option<&str>,
    ) -> ChangeResult<Option<Order>, OrderRefused> {
        self.remove_order_if_unchanged(id, None, by, reason).await
    }

    /// Deletes a draft or cancels an order if it still is as it was `seen`.
    #[crate::boxed]
    pub async fn remove_order_if_unchanged(
        &self,
        id: OrderId,
        seen: Option<&Order>,
        by: By,
        reason: Option<&str>,
    ) -> ChangeResult<Option<Order>, OrderRefused> {
        in_one_transaction!(&self.inner, CrashPoints::ORDERS, |change| {
            let Some(mut order) = lock(change, id).await? else {
                return Err(OrderRefused::Unknown.into());
            };
            check_unchanged(&order, seen)?;
            if order.status == OrderStatus::Draft {
                store::orders::delete(&mut change.tx, &[id]).await?;
                return Ok(None);
            }
            if order.status != OrderStatus::Cancelled {
                let to = OrderStatus::Cancelled;
                advance(change, &mut order, to, by, reason, None)
                    .await
                    .map_err(|error| error.map_refused(Into::into))?;
            }
            Ok(Some(order))
        })
    }

    /// Deletes drafts that nobody placed in a week, a bounded number at a time; returns their number.
    #[crate::boxed]
    pub async fn prune_drafts(&self) -> Result<u64> {
        let mut pruned = 0;
        for _ in 0..MAX_PRUNING_RUNS {
            let more = self.prune_some_drafts().await?;
            pruned += more;
            if more < u64::from(MAX_PRUNED) {
                break;
            }
        }
        Ok(pruned)
    }

    async fn prune_some_drafts(&self) -> Result<u64> {
        in_one_transaction!(&self.inner, CrashPoints::SWEEP, |change| {
            let before = change.now - DRAFT_RETENTION;
            let found = store::orders::old_drafts(&mut change.tx, before, MAX_PRUNED).await?;
            let locked = store::orders::lock_available(&mut change.tx, &found).await?;
            // One of them may have been placed meanwhile.
            let drafts: Vec<OrderId> = locked
                .iter()
                .filter(|(order, _)| order.status == OrderStatus::Draft)
                .map(|(order, _)| order.id)
                .collect();
            store::orders::delete(&mut change.tx, &drafts).await?;
            Ok(drafts.len() as u64)
        })
    }
}

async fn build_draft(
    change: &mut Change<'_>,
    wanted: &PlaceOrder,
) -> ChangeResult<Order, PlaceRefused> {
    let limit = change.inner.settings.bounds.order_text_bytes;
    wanted.check_text(limit).map_err(PlaceRefused::from)?;
    let session = find_open_session(change, wanted).await?;
    let store = store::stores::get(&mut change.tx, wanted.store_id)
        .await?
        .ok_or(PlaceRefused::UnknownStore)?;
    if store.archived_at.is_some() {
        return Err(PlaceRefused::StoreArchived.into());
    }
    let found = lines::find(&mut change.tx, store.id, &wanted.lines).await??;
    let (chance, now) = (&change.inner.chance, change.now);
    let items = found.items(&wanted.lines, chance, now);
    let priced = items.iter().map(|item| (&item.unit_price, item.quantity));
    let total = total(Money::new(0, store.currency), priced).ok_or(PlaceRefused::TotalTooLarge)?;
    if let Some(expected) = wanted.expected_total
        && expected != total
    {
        let actual = total;
        return Err(PlaceRefused::TotalMismatch { expected, actual }.into());
    }
    let (account_id, guest_key_hash) = match &wanted.placer {
        Placer::Account(account) => (Some(*account), None),
        Placer::Guest { key_hash } => (None, key_hash.map(|hash| hash.to_vec())),
    };
    Ok(Order {
        id: chance.id(now),
        store_id: store.id,
        number: None,
        session,
        account_id,
        guest_key_hash,
        reference: wanted.reference.clone(),
        fulfilment: wanted.fulfilment,
        status: OrderStatus::Draft,
        reason: None,
        version: 1,
        stock_held: false,
        tallied: false,
        customer: wanted.customer.clone(),
        items,
        total,
        user_note: wanted.user_note.clone(),
        accept_by: None,
        timing: Timing {
            wanted_at: wanted.wanted_at.map(timing::stored),
            ..Timing::default()
        },
        delivery: None,
        replaces: wanted.replaces,
        trace: wanted.trace,
        created_at: now,
        placed_at: None,
        accepted_at: None,
        ended_at: None,
        updated_at: Some(now),
    })
}

/// Returns the order's session, which must be open. It is checked again, and locked, when the draft is placed.
async fn find_open_session(
    change: &mut Change<'_>,
    wanted: &PlaceOrder,
) -> ChangeResult<Option<OrderSession>, PlaceRefused> {
    let Some(id) = wanted.session else {
        return Ok(None);
    };
    let session = store::sessions::get(&mut change.tx, id)
        .await?
        .filter(|session| session.store_id == wanted.store_id)
        .ok_or(PlaceRefused::UnknownSession)?;
    match session.state {
        SessionState::Open => Ok(Some(OrderSession {
            id,
            name: session.name,
        })),
        SessionState::Closed => Err(PlaceRefused::SessionClosed.into()),
    }
}

/// Returns the refusal that names the order with this reference. If that order was deleted meanwhile, returns a lost
/// lock, so that the change is tried again.
async fn reference_taken(
    change: &mut Change<'_>,
    wanted: &PlaceOrder,
) -> Result<ChangeError<PlaceRefused>> {
    let reference = wanted.reference.as_deref().unwrap_or_default();
    let key = (wanted.placed_by(), reference);
    let known = store::orders::find_by_references(&mut change.tx, &[key]).await?;
    let existing = known.into_values().next();
    Ok(existing.map_or_else(
        || StoreError::LockLost("the reference was released meanwhile".to_owned()).into(),
        |existing| PlaceRefused::DuplicateOrder { existing }.into(),
    ))
}

/// Copies the session's name, which a locked row comes without.
fn copy_session_name(mut order: Order, read: &Order) -> Order {
    order.session.clone_from(&read.session);
    order
}
