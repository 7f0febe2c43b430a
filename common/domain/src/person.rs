//! Persons whose data is asked for or erased: how they are named, and how what is known of them is found in texts.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    ids::AccountId,
    order::{Customer, Order},
    words::words,
};

words! {
    pub enum PersonKind {
        Account = "account",
        Phone = "phone",
        Email = "email",
    }
}

/// A person, by what somebody asked for. Personal data: never in logs.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    pub kind: PersonKind,
    /// The id, the digits of the phone with its country's code if it was given, or the address in lower case.
    pub value: String,
}

/// Fewest digits of a phone, and the shortest text that is looked for in others.
const MIN_DIGITS: usize = 5;
const MAX_DIGITS: usize = 20;
const MIN_LETTERS: usize = 3;
const MAX_EMAIL: usize = 254;

impl Person {
    #[must_use]
    pub fn account(id: AccountId) -> Self {
        Self {
            kind: PersonKind::Account,
            value: id.to_string(),
        }
    }

    /// Returns the person with this phone; `None` if it is none.
    #[must_use]
    pub fn phone(text: &str) -> Option<Self> {
        let is_phone = text
            .chars()
            .all(|c| c.is_ascii_digit() || c.is_whitespace() || "+-/.()".contains(c));
        let value = phone_digits(text);
        let is_long_enough = (MIN_DIGITS..=MAX_DIGITS).contains(&value.len());
        (is_phone && is_long_enough).then_some(Self {
            kind: PersonKind::Phone,
            value,
        })
    }

    /// Returns the person with this e-mail address; `None` if it is none.
    #[must_use]
    pub fn email(text: &str) -> Option<Self> {
        let value = text.trim().to_lowercase();
        let (local, host) = value.split_once('@')?;
        let is_email = !local.is_empty()
            && !host.is_empty()
            && value.len() <= MAX_EMAIL
            && !value.contains(char::is_whitespace);
        is_email.then_some(Self {
            kind: PersonKind::Email,
            value,
        })
    }

    /// Returns true if an order is this person's: placed by the account, or with the phone or address, however they are
    /// written.
    #[must_use]
    pub fn has(&self, account: Option<AccountId>, customer: &Customer) -> bool {
        match self.kind {
            PersonKind::Account => account.is_some_and(|id| id.to_string() == self.value),
            PersonKind::Phone => {
                let phone = customer.phone.as_deref();
                phone.is_some_and(|phone| phone_digits(phone) == self.value)
            }
            PersonKind::Email => {
                let email = customer.email.as_deref();
                email.is_some_and(|email| email.trim().to_lowercase() == self.value)
            }
        }
    }
}

impl std::fmt::Debug for Person {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Person")
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

/// Returns the digits of a phone; `00` before a country's code is the same as `+`, and `(0)` after it is left out.
fn phone_digits(text: &str) -> String {
    let text = text.trim();
    let text = if text.starts_with('+') || text.starts_with("00") {
        text.replacen("(0)", "", 1)
    } else {
        text.to_owned()
    };
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    match digits.strip_prefix("00") {
        Some(rest) => rest.to_owned(),
        None => digits,
    }
}

/// Stands in place of a text that is erased where there must be one.
pub const ERASED: &str = "erased";

/// Reasons that say nothing of a person, and that rules of the ledger read.
const OUR_REASONS: [&str; 5] = ["lost", "returned", "gone", "refused", "deadline"];

/// Texts that tell who somebody is, to be found in others.
#[derive(Clone, Default)]
pub struct PersonalTexts {
    /// In lower case.
    texts: Vec<String>,
    phone: Option<String>,
}

impl PersonalTexts {
    /// Collects what an order says of its customer. Each word of the name counts by itself.
    #[must_use]
    pub fn of(order: &Order) -> Self {
        let customer = &order.customer;
        let name = customer.name.as_deref().unwrap_or_default();
        let words = name.split(|c: char| !c.is_alphanumeric());
        let whole = [&customer.email, &customer.address, &customer.phone];
        let texts = words.chain(whole.into_iter().filter_map(|text| text.as_deref()));
        let texts = texts.map(|text| text.trim().to_lowercase());
        let digits = customer.phone.as_deref().map(phone_digits);
        Self {
            texts: texts
                .filter(|text| text.chars().count() >= MIN_LETTERS)
                .collect(),
            phone: digits.filter(|digits| digits.len() >= MIN_DIGITS),
        }
    }

    /// Returns true if one of them is in the text.
    #[must_use]
    pub fn are_in(&self, text: &str) -> bool {
        let lower = text.to_lowercase();
        let digits = || -> String { text.chars().filter(char::is_ascii_digit).collect() };
        self.texts.iter().any(|known| lower.contains(known))
            || self
                .phone
                .as_deref()
                .is_some_and(|phone| digits().contains(phone))
    }

    /// Erases all texts in a value that contain one of them; returns true if there were any.
    pub fn erase_in(&self, value: &mut Value) -> bool {
        match value {
            Value::String(text) if self.are_in(text) => {
                ERASED.clone_into(text);
                true
            }
            Value::Array(items) => erase_each(items, |item| self.erase_in(item)),
            Value::Object(fields) => erase_each(fields.values_mut(), |field| self.erase_in(field)),
            _ => false,
        }
    }

    /// Returns a reason without what people wrote: a word of a program stays, any other text is erased.
    #[must_use]
    pub fn plain_reason<'t>(&self, reason: &'t str) -> &'t str {
        let is_word = reason.bytes().all(|c| c.is_ascii_lowercase() || c == b'_');
        if OUR_REASONS.contains(&reason) || (is_word && !self.are_in(reason)) {
            reason
        } else {
            ERASED
        }
    }

    /// Erases from the JSON of an event, a callback or a message's cause what people wrote and what names a parcel;
    /// returns true if there was any. Everything else in them is facts of the order.
    pub fn strip(&self, value: &mut Value) -> bool {
        match value {
            Value::Array(items) => erase_each(items, |item| self.strip(item)),
            Value::Object(fields) => erase_each(fields.iter_mut(), |(name, field)| {
                match (name.as_str(), &mut *field) {
                    ("note" | "user_note" | "customer" | "tracking_number", field) => {
                        !std::mem::replace(field, Value::Null).is_null()
                    }
                    ("reason" | "detail" | "error", Value::String(text)) => {
                        let plain = self.plain_reason(text).to_owned();
                        std::mem::replace(text, plain.clone()) != plain
                    }
                    (_, field) => self.strip(field),
                }
            }),
            _ => false,
        }
    }
}

/// Runs the function for every item; returns true if it did so for any.
fn erase_each<T>(items: impl IntoIterator<Item = T>, mut erase: impl FnMut(T) -> bool) -> bool {
    let mut any = false;
    for item in items {
        any |= erase(item);
    }
    any
}

impl std::fmt::Debug for PersonalTexts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PersonalTexts(…)")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn customer(phone: &str, email: &str) -> Customer {
        Customer {
            name: Some("Anna-Lena Müller".to_owned()),
            phone: Some(phone.to_owned()),
            email: Some(email.to_owned()),
            ..Customer::default()
        }
    }

    fn texts() -> PersonalTexts {
        PersonalTexts {
            texts: ["anna", "lena", "müller", "a@b.example"]
                .map(str::to_owned)
                .to_vec(),
            phone: Some("49301234567".to_owned()),
        }
    }

    #[test]
    fn a_phone_is_the_same_however_it_is_written_and_no_other() {
        let person = Person::phone("+49 (0)30 / 123-45.67").unwrap();
        for same in [
            "+49 30 1234567",
            "0049301234567",
            "49 30 1234567",
            " +49(0)301234567 ",
        ] {
            assert!(person.has(None, &customer(same, "")), "{same}");
        }
        for other in [
            "+43 30 1234567",
            "030 1234567",
            "+49 30 12345678",
            "1234567",
            "",
        ] {
            assert!(!person.has(None, &customer(other, "")), "{other}");
        }
        for none in ["", "1234", "+49 abc 12345", "123456789012345678901", "five"] {
            assert!(Person::phone(none).is_none(), "{none}");
        }
    }

    #[test]
    fn an_address_is_the_same_in_any_case_and_an_account_is_its_id() {
        let person = Person::email(" Anna@Example.COM ").unwrap();
        assert!(person.has(None, &customer("", "anna@example.com")));
        assert!(!person.has(None, &customer("", "hanna@example.com")));
        for none in ["anna", "@b", "a@", "a b@c", ""] {
            assert!(Person::email(none).is_none(), "{none}");
        }
        let id = AccountId::from(uuid::Uuid::from_u128(7));
        assert!(Person::account(id).has(Some(id), &Customer::default()));
        assert!(!Person::account(id).has(None, &customer("1", "a@b")));
        assert!(!format!("{person:?}").contains("anna"));
    }

    #[test]
    fn what_people_wrote_is_stripped_and_facts_stay() {
        let mut event = json!({"order": {
            "number": 17, "status": "cancelled", "reason": "Anna called", "fulfilment": "delivery",
            "items": [{"name": "Tea", "note": "for Anna"}, {"name": "Cake", "note": null}],
            "delivery": {"status": "DELIVERED", "tracking_number": "T-1"}},
            "handoff": {"reason": "attempts_used_up"}});
        assert!(texts().strip(&mut event));
        assert_eq!(
            event,
            json!({"order": {
                "number": 17, "status": "cancelled", "reason": "erased", "fulfilment": "delivery",
                "items": [{"name": "Tea", "note": null}, {"name": "Cake", "note": null}],
                "delivery": {"status": "DELIVERED", "tracking_number": null}},
                "handoff": {"reason": "attempts_used_up"}})
        );
        assert!(!texts().strip(&mut event), "a second time changes nothing");
    }

    #[test]
    fn a_reason_of_a_program_stays_unless_it_names_the_person() {
        let texts = texts();
        for stays in [
            "lost",
            "gone",
            "not_accepted_in_time",
            "presumed_delivered",
            "closed",
        ] {
            assert_eq!(texts.plain_reason(stays), stays);
        }
        for goes in ["anna", "ask_lena", "No oven", "call 49301234567", "Closed"] {
            assert_eq!(texts.plain_reason(goes), ERASED);
        }
    }

    #[test]
    fn a_person_is_found_in_texts_by_any_word_of_the_name_and_by_the_digits_of_the_phone() {
        let texts = texts();
        let mut fields = json!({"name": {"from": "Party of MÜLLER", "to": "Table 1"}, "n": [1, "+49 30 123 4567"]});
        assert!(texts.erase_in(&mut fields));
        assert_eq!(
            fields,
            json!({"name": {"from": "erased", "to": "Table 1"}, "n": [1, "erased"]})
        );
        assert!(!PersonalTexts::default().are_in("anything"));
    }
}
