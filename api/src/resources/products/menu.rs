//! A store's menu as the API shows it.

use poem_openapi::Object;
use uuid::Uuid;

use super::view::ProductView;

/// What can be ordered at a store now.
#[derive(Debug, Object)]
pub(crate) struct Menu {
    pub(crate) store_id: Uuid,
    pub(crate) store_name: String,
    /// Takes no new orders for now.
    pub(crate) paused: bool,
    pub(crate) items: Vec<ProductView>,
}
