//! Parses handoffs in the `order` format; unknown fields are ignored.

use serde::{Deserialize, Serialize};

/// Maximum number of characters kept of a field, whatever the sender's own limits are.
const TEXT_CHARS_MAX: usize = 200;
const ITEMS_MAX: usize = 200;

/// Handoff with a valid signature.
#[derive(Debug, Clone)]
pub(crate) struct Handoff {
    pub(crate) event: String,
    pub(crate) callback_url: Option<String>,
    pub(crate) order: Option<PlacedOrder>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct PlacedOrder {
    pub(crate) id: String,
    pub(crate) number: String,
    pub(crate) items: Vec<Item>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Item {
    pub(crate) name: String,
    pub(crate) quantity: String,
}

impl Handoff {
    /// Parses a raw body whose signature was verified.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, serde_json::Error> {
        let wire: WireHandoff = serde_json::from_slice(body)?;
        Ok(Self {
            event: short(&wire.event),
            callback_url: wire.callback_url.filter(|url| !url.is_empty()),
            order: wire.order.map(|order| PlacedOrder {
                // Not truncated, because callbacks send it back.
                id: order.id,
                number: short(&order.number),
                items: order
                    .items
                    .into_iter()
                    .take(ITEMS_MAX)
                    .map(|item| Item {
                        name: short(&item.full_name()),
                        quantity: short(&item.quantity),
                    })
                    .collect(),
            }),
        })
    }
}

/// Truncates a text from outside.
pub(crate) fn short(text: &str) -> String {
    text.chars().take(TEXT_CHARS_MAX).collect()
}

#[derive(Deserialize)]
struct WireHandoff {
    event: String,
    callback_url: Option<String>,
    order: Option<WireOrder>,
}

#[derive(Deserialize)]
struct WireOrder {
    id: String,
    #[serde(default)]
    number: String,
    #[serde(default)]
    items: Vec<WireItem>,
}

#[derive(Deserialize)]
struct WireItem {
    #[serde(default)]
    name: String,
    #[serde(default)]
    quantity: String,
    #[serde(default)]
    options: Vec<WireOption>,
}

#[derive(Deserialize)]
struct WireOption {
    #[serde(default)]
    name: String,
    #[serde(default)]
    quantity: String,
}

impl WireItem {
    /// Returns the name with the chosen options: `Espresso (Oat milk, 2 x Shot)`.
    fn full_name(&self) -> String {
        if self.options.is_empty() {
            return self.name.clone();
        }
        let options = self
            .options
            .iter()
            .map(|option| match option.quantity.as_str() {
                "" | "1" => option.name.clone(),
                more => format!("{more} x {}", option.name),
            });
        let options: Vec<String> = options.collect();
        format!("{} ({})", self.name, options.join(", "))
    }
}
