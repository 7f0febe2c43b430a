//! Removes the messages about ended orders, and leaves the rows.

use super::{execute_counted, handoffs_of_orders, uuids};
use crate::{error::Result, tx::Tx};
use domain::ids::OrderId;

/// Removes the bodies of the messages about locked orders, of their answers and of callbacks.
pub async fn strip_messages(tx: &mut Tx, orders: &[OrderId]) -> Result<()> {
    let handoffs = handoffs_of_orders(tx, orders).await?;
    execute_counted(
        tx,
        "UPDATE handoffs /*! FORCE INDEX (PRIMARY) */ SET body = NULL WHERE body IS NOT NULL AND id IN (",
        &handoffs,
    )
    .await?;
    execute_counted(
        tx,
        "UPDATE attempts /*! FORCE INDEX (handoff_id) */ SET response = NULL WHERE response IS NOT NULL AND handoff_id IN (",
        &handoffs,
    )
    .await?;
    let ids = uuids(orders);
    execute_counted(
        tx,
        "UPDATE callbacks /*! FORCE INDEX (callbacks_of_order) */ SET payload = '{}' WHERE order_id IN (",
        &ids,
    )
    .await?;
    Ok(())
}
