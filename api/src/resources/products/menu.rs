//! A store's menu as the API shows it.

use poem_openapi::Object;
use uuid::Uuid;

use super::view::ProductView;

/// The products that can be ordered at a store now.
#[derive(Debug, Object)]
pub(crate) struct Menu {
    pub(crate) store_id: Uuid,
    pub(crate) store_name: String,
    /// True while the store takes no new orders.
    pub(crate) paused: bool,
    pub(crate) items: Vec<ProductView>,
}
