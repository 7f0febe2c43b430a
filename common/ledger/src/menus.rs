//! Menus as they are read, and the stamps that prove a copy of one right.

use super::{Ledger, Result, option_groups::MAX_GROUPS_OF_STORE};
use domain::{
    ids::{ImageId, ProductId, StoreId},
    menu::{Menu, MenuProduct},
    store::Product,
};
use store::Tx;

pub use store::{images::StoredImage, menus::MenuStamp};

/// Maximum number of products on one menu.
pub const MAX_MENU_PRODUCTS: u32 = 2000;
/// Maximum number of categories of one store.
pub const MAX_CATEGORIES: u32 = 500;
/// Maximum stores of one list of products.
const MAX_STORES: u32 = 1000;

/// A menu as it was read, with what its copy is proved by.
#[derive(Clone, Debug)]
pub struct MenuRead {
    pub menu: Menu,
    /// Read before the menu, which is at least as new.
    pub stamp: MenuStamp,
    /// Quantities of the store's counted products, by id.
    pub stocks: Vec<(ProductId, i64)>,
}

impl Ledger {
    /// Returns the products that can be ordered at the store, or will be again; `None` if it does not exist or is
    /// archived.
    #[crate::boxed]
    pub async fn menu(&self, id: StoreId) -> Result<Option<MenuRead>> {
        let mut tx = self.inner.db.read().await?;
        let Some(stamp) = store::menus::stamp(&mut tx, id).await? else {
            return Ok(None);
        };
        let stocks = store::menus::stocks(&mut tx, id).await?;
        let Some(store) = store::stores::get(&mut tx, id).await? else {
            return Ok(None);
        };
        let categories = store::categories::list(&mut tx, id, None, MAX_CATEGORIES).await?;
        let products = store::products::menu(&mut tx, id, MAX_MENU_PRODUCTS).await?;
        let groups = store::option_groups::list(&mut tx, id, None, MAX_GROUPS_OF_STORE).await?;
        let mut details = store::products::details::of_store(&mut tx, id).await?;
        let products = products.into_iter().map(|product| MenuProduct {
            details: details.remove(&product.id).unwrap_or_default(),
            product,
        });
        let now = self.inner.clock.now();
        Ok(Some(MenuRead {
            menu: Menu::new(store, categories, products.collect(), now).with_option_groups(groups),
            stamp,
            stocks,
        }))
    }

    /// Returns the stamp of the store's menu; `None` if the store does not exist or is archived.
    #[crate::boxed]
    pub async fn menu_stamp(&self, id: StoreId) -> Result<Option<MenuStamp>> {
        let mut tx = self.inner.db.read().await?;
        Ok(store::menus::stamp(&mut tx, id).await?)
    }

    /// Returns the quantities of the store's counted products, by id.
    #[crate::boxed]
    pub async fn menu_stocks(&self, id: StoreId) -> Result<Vec<(ProductId, i64)>> {
        let mut tx = self.inner.db.read().await?;
        Ok(store::menus::stocks(&mut tx, id).await?)
    }

    /// Returns a product with its details, also an archived one.
    #[crate::boxed]
    pub async fn menu_product(&self, id: ProductId) -> Result<Option<MenuProduct>> {
        let mut tx = self.inner.db.read().await?;
        let product = store::products::get(&mut tx, id).await?;
        let found = with_details(&mut tx, product.into_iter().collect()).await?;
        Ok(found.into_iter().next())
    }

    /// Lists the store's products that are not archived with their details, by id, after `after`; only the one with
    /// `sku`, if given.
    #[crate::boxed]
    pub async fn menu_products(
        &self,
        store: StoreId,
        sku: Option<&str>,
        after: Option<ProductId>,
        limit: u32,
    ) -> Result<Vec<MenuProduct>> {
        let mut tx = self.inner.db.read().await?;
        let products = match sku {
            Some(sku) => store::products::by_skus(&mut tx, store, &[sku]).await?,
            None => store::products::list(&mut tx, store, after, limit).await?,
        };
        Ok(with_details(&mut tx, products).await?)
    }

    /// Lists the products of these stores, or of all, as [`Self::menu_products`] does; without those of archived stores.
    #[crate::boxed]
    pub async fn products_of_stores(
        &self,
        stores: Option<&[StoreId]>,
        after: Option<ProductId>,
        limit: u32,
    ) -> Result<Vec<MenuProduct>> {
        let mut tx = self.inner.db.read().await?;
        let products = match stores {
            None => store::products::list_of_all(&mut tx, after, limit).await?,
            Some(stores) => {
                let mut found = Vec::new();
                let open = store::stores::list(&mut tx, Some(stores), None, MAX_STORES).await?;
                for store in open {
                    let some = store::products::list(&mut tx, store.id, after, limit).await?;
                    found.extend(some);
                }
                found.sort_unstable_by_key(|product: &Product| product.id);
                found.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
                found
            }
        };
        Ok(with_details(&mut tx, products).await?)
    }

    /// Returns an uploaded image.
    #[crate::boxed]
    pub async fn image(&self, id: ImageId) -> Result<Option<StoredImage>> {
        let mut tx = self.inner.db.read().await?;
        Ok(store::images::get(&mut tx, id).await?)
    }
}

async fn with_details(tx: &mut Tx, products: Vec<Product>) -> store::Result<Vec<MenuProduct>> {
    let ids: Vec<ProductId> = products.iter().map(|product| product.id).collect();
    let mut details = store::products::details::many(tx, &ids).await?;
    let products = products.into_iter().map(|product| MenuProduct {
        details: details.remove(&product.id).unwrap_or_default(),
        product,
    });
    Ok(products.collect())
}

#[cfg(test)]
mod tests;
