//! Menus: categories, the details that only menus show of products, and the order in which people read them.

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{
    ids::{CategoryId, ImageId, OptionGroupId, ProductId, StoreId},
    language::Language,
    options::OptionGroup,
    store::{Product, Store},
    translations::Translations,
    words::words,
};

words! {
    /// Substances that the European Union asks sellers of food to name (Regulation 1169/2011, annex II).
    pub enum Allergen {
        Celery = "celery",
        Crustaceans = "crustaceans",
        Eggs = "eggs",
        Fish = "fish",
        Gluten = "gluten",
        Lupin = "lupin",
        Milk = "milk",
        Molluscs = "molluscs",
        Mustard = "mustard",
        Nuts = "nuts",
        Peanuts = "peanuts",
        Sesame = "sesame",
        Soybeans = "soybeans",
        Sulphites = "sulphites",
    }
}

words! {
    /// Diets that a product is fit for.
    pub enum Diet {
        GlutenFree = "gluten_free",
        Halal = "halal",
        Kosher = "kosher",
        LactoseFree = "lactose_free",
        Organic = "organic",
        Vegan = "vegan",
        Vegetarian = "vegetarian",
    }
}

/// A heading of a menu.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Category {
    pub id: CategoryId,
    pub store_id: StoreId,
    pub name: String,
    pub description: Option<String>,
    /// Categories are read by position, and those at the same one in the order of their creation.
    pub position: u32,
    /// Units of kitchen capacity that one piece of a product takes.
    pub weight: u32,
    pub translations: Translations,
    pub version: i64,
    pub created_at: DateTime<Utc>,
}

/// A product's place in a category.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placement {
    pub category_id: CategoryId,
    /// Products are read by position, and those at the same one in the order of their creation.
    pub position: u32,
}

/// A product's image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Image {
    /// An https address elsewhere.
    At(String),
    Uploaded(ImageId),
}

/// Fields of a product that only menus show.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Details {
    /// By category id.
    pub categories: Vec<Placement>,
    pub image: Option<Image>,
    pub allergens: BTreeSet<Allergen>,
    pub diets: BTreeSet<Diet>,
    pub translations: Translations,
}

/// A product with all that a menu shows of it.
#[derive(Clone, Debug, PartialEq)]
pub struct MenuProduct {
    pub product: Product,
    pub details: Details,
}

/// A category with its products in the order in which they are read.
#[derive(Clone, Debug, PartialEq)]
pub struct Section {
    pub category: Category,
    pub products: Vec<ProductId>,
}

/// A store's menu at one time.
#[derive(Clone, Debug, PartialEq)]
pub struct Menu {
    pub store: Store,
    pub sections: Vec<Section>,
    /// Each product once: by its first section, then those without a section.
    pub products: Vec<MenuProduct>,
    /// The groups of options that its products offer, by position.
    pub option_groups: Vec<OptionGroup>,
    pub at: DateTime<Utc>,
    /// Times at which a product comes back, in order.
    changes_at: Vec<DateTime<Utc>>,
}

impl Menu {
    /// Orders a menu as people read it.
    #[must_use]
    pub fn new(
        store: Store,
        mut categories: Vec<Category>,
        mut products: Vec<MenuProduct>,
        at: DateTime<Utc>,
    ) -> Self {
        categories.sort_by_key(|category| (category.position, category.id));
        products.sort_by_key(|one| one.product.id);
        let ranks: HashMap<CategoryId, usize> = categories
            .iter()
            .enumerate()
            .map(|(rank, category)| (category.id, rank))
            .collect();
        // Each placement as (rank of the section, position, index of the product).
        let mut placed: Vec<(usize, u32, usize)> = Vec::new();
        for (index, one) in products.iter().enumerate() {
            for placement in &one.details.categories {
                if let Some(rank) = ranks.get(&placement.category_id) {
                    placed.push((*rank, placement.position, index));
                }
            }
        }
        placed.sort_unstable();
        let mut sections: Vec<Section> = categories
            .into_iter()
            .map(|category| Section {
                category,
                products: Vec::new(),
            })
            .collect();
        let mut order: Vec<usize> = vec![usize::MAX; products.len()];
        for (read, (rank, _, index)) in placed.into_iter().enumerate() {
            sections[rank].products.push(products[index].product.id);
            order[index] = order[index].min(read);
        }
        let mut changes_at: Vec<DateTime<Utc>> = products
            .iter()
            .filter_map(|one| one.product.available_from)
            .collect();
        changes_at.sort_unstable();
        let mut ordered: Vec<(usize, MenuProduct)> = order.into_iter().zip(products).collect();
        // Stable: products without a section stay in the order of their creation.
        ordered.sort_by_key(|(read, _)| *read);
        Self {
            store,
            sections,
            products: ordered.into_iter().map(|(_, product)| product).collect(),
            option_groups: Vec::new(),
            at,
            changes_at,
        }
    }

    /// Adds those of the store's groups of options that a product of the menu offers.
    #[must_use]
    pub fn with_option_groups(mut self, mut groups: Vec<OptionGroup>) -> Self {
        let products = self.products.iter().map(|one| &one.product);
        let offered: BTreeSet<OptionGroupId> = products
            .flat_map(|product| product.option_group_ids.iter().copied())
            .collect();
        groups.retain(|group| offered.contains(&group.id));
        groups.sort_by_key(|group| (group.position, group.id));
        self.option_groups = groups;
        self
    }

    /// Returns the store's language, and then every other language that a text is translated to.
    #[must_use]
    pub fn languages(&self) -> Vec<Language> {
        let of_sections = self.sections.iter().map(|one| &one.category.translations);
        let of_products = self.products.iter().map(|one| &one.details.translations);
        let of_options = self
            .option_groups
            .iter()
            .flat_map(OptionGroup::translations);
        let others: BTreeSet<&Language> = of_sections
            .chain(of_products)
            .chain(of_options)
            .flat_map(|translations| translations.0.keys())
            .filter(|language| **language != self.store.language)
            .collect();
        let main = std::iter::once(&self.store.language);
        main.chain(others).cloned().collect()
    }

    /// Returns true if no product has come back between the time of the menu and `now`, whichever is later.
    #[must_use]
    pub fn holds_at(&self, now: DateTime<Utc>) -> bool {
        let passed = |at| self.changes_at.partition_point(|change| *change <= at);
        passed(self.at) == passed(now)
    }
}

#[cfg(test)]
mod tests;
