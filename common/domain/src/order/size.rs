//! Sizes of an order: of the text that its client wrote, and of its JSON.

use super::{Customer, Order};
use crate::json_size::text_bytes as json_bytes;

/// Bytes of an item's JSON without its texts: field names, ids, amounts and times.
const ITEM_JSON_BYTES: usize = 375;
/// Bytes of an option's JSON without its texts.
const OPTION_JSON_BYTES: usize = 170;
/// Bytes of an order's JSON without items and texts.
const ORDER_JSON_BYTES: usize = 1560;
/// Bytes of the place in a trace.
const TRACE_JSON_BYTES: usize = 72;

/// The texts of an order that are too long together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the texts have {bytes} bytes, at most {limit} are allowed")]
pub struct TextTooLong {
    /// JSON pointer to the first text that does not fit.
    pub field: String,
    /// Bytes of all texts together.
    pub bytes: usize,
    pub limit: usize,
}

/// Checks that the texts that a client writes into an order have at most `limit` bytes together: the customer's data,
/// the note, and the notes of the items.
///
/// # Errors
///
/// Names the first text that does not fit.
pub fn check_text<'a>(
    customer: &Customer,
    user_note: Option<&str>,
    item_notes: impl IntoIterator<Item = Option<&'a str>>,
    limit: usize,
) -> Result<(), TextTooLong> {
    let mut bytes = 0;
    let mut field = None;
    let mut add = |length: usize, name: &dyn Fn() -> String| {
        bytes += length;
        if bytes > limit && field.is_none() {
            field = Some(name());
        }
    };
    add(customer.text_bytes(), &|| "/customer".to_owned());
    add(user_note.map_or(0, str::len), &|| "/user_note".to_owned());
    for (at, note) in item_notes.into_iter().enumerate() {
        add(note.map_or(0, str::len), &|| format!("/items/{at}/note"));
    }
    match field {
        None => Ok(()),
        Some(field) => Err(TextTooLong {
            field,
            bytes,
            limit,
        }),
    }
}

impl Customer {
    fn texts(&self) -> impl Iterator<Item = &str> {
        let fields = [
            &self.id,
            &self.name,
            &self.phone,
            &self.email,
            &self.address,
            &self.device_token,
        ];
        fields.into_iter().filter_map(Option::as_deref)
    }

    fn text_bytes(&self) -> usize {
        self.texts().map(str::len).sum()
    }
}

impl Order {
    /// Checks the texts of the order as [`check_text`] does.
    ///
    /// # Errors
    ///
    /// Names the first text that does not fit.
    pub fn check_text(&self, limit: usize) -> Result<(), TextTooLong> {
        let notes = self.items.iter().map(|item| item.note.as_deref());
        check_text(&self.customer, self.user_note.as_deref(), notes, limit)
    }

    /// Returns the bytes of the texts that [`Self::check_text`] bounds.
    #[must_use]
    pub fn text_bytes(&self) -> usize {
        let notes = self.items.iter().map(|item| &item.note);
        let notes = notes.chain([&self.user_note]).flatten();
        self.customer.text_bytes() + notes.map(String::len).sum::<usize>()
    }

    /// Returns an upper bound of the bytes of its JSON, as anybody may see it. It is cheap: answers are bounded with it
    /// before they are made.
    #[must_use]
    pub fn max_json_bytes(&self) -> usize {
        let optional = |text: &Option<String>| text.as_deref().map_or(0, json_bytes);
        let items = self.items.iter().map(|item| {
            let options = item.options.iter().map(|option| {
                let texts = json_bytes(&option.group) + json_bytes(&option.name);
                OPTION_JSON_BYTES + texts + optional(&option.sku)
            });
            ITEM_JSON_BYTES
                + json_bytes(&item.name)
                + optional(&item.sku)
                + optional(&item.note)
                + options.sum::<usize>()
        });
        let session = self.session.as_ref();
        let delivery = self.delivery.as_ref().map_or(0, |delivery| {
            100 + optional(&delivery.tracking_number) + 100 * delivery.history.len()
        });
        ORDER_JSON_BYTES
            + self.trace.map_or(0, |_| TRACE_JSON_BYTES)
            + session.map_or(0, |session| json_bytes(&session.name))
            + optional(&self.reference)
            + optional(&self.reason)
            + optional(&self.user_note)
            + self.customer.texts().map(json_bytes).sum::<usize>()
            + delivery
            + items.sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn customer(name: &str) -> Customer {
        Customer {
            name: Some(name.to_owned()),
            ..Customer::default()
        }
    }

    #[test]
    fn the_texts_of_an_order_are_bounded_together_and_the_first_that_does_not_fit_is_named() {
        let check = |name: &str, note: &str, notes: &[&str]| {
            let notes = notes.iter().copied().map(Some);
            check_text(&customer(name), Some(note), notes, 10).map_err(|too_long| too_long.field)
        };
        assert_eq!(check("abcd", "efg", &["hi", "j"]), Ok(()));
        assert_eq!(
            check("abcd", "efg", &["hi", "", "jk"]),
            Err("/items/2/note".to_owned())
        );
        assert_eq!(
            check("abcd", "efghijk", &["l"]),
            Err("/user_note".to_owned())
        );
        assert_eq!(check("abcdefghijk", "", &[]), Err("/customer".to_owned()));
        // Bytes, not characters.
        assert_eq!(check("", "äöüäö", &[]), Ok(()));
        assert_eq!(check("", "äöüäöü", &[]), Err("/user_note".to_owned()));
    }
}
