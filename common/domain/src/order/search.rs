//! Search for an order as people ask for it: by the customer's name or phone, or by the order's number.

use super::Customer;

/// Fewest digits that are searched for in phones; fewer would be found in most of them.
const MIN_PHONE_DIGITS: usize = 4;

/// Text that an order is looked for by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Search {
    words: Vec<String>,
    /// Digits of a phone without the leading zeros, which people write instead of a country's code.
    phone: Option<String>,
    /// Number of an order: `17`, `#17`.
    pub number: Option<i64>,
}

impl Search {
    /// Returns `None` for a text without anything to look for.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let words: Vec<String> = words(text).collect();
        let number = text.trim();
        let number = number.strip_prefix('#').unwrap_or(number);
        let has_digits_only =
            !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        let looks_like_phone = text
            .chars()
            .all(|c| c.is_ascii_digit() || c.is_whitespace() || "+-/.()".contains(c));
        let digits = digits(text);
        let digits = digits.trim_start_matches('0');
        let phone =
            (looks_like_phone && digits.len() >= MIN_PHONE_DIGITS).then(|| digits.to_owned());
        (!words.is_empty()).then_some(Self {
            words,
            phone,
            number: has_digits_only.then(|| number.parse().ok()).flatten(),
        })
    }

    /// Returns true if each word begins a word of the customer's name, or if the digits are in the phone.
    #[must_use]
    pub fn finds(&self, customer: &Customer) -> bool {
        let in_name = customer.name.as_deref().is_some_and(|name| {
            let name: Vec<String> = words(name).collect();
            let begins = |word: &String| name.iter().any(|known| known.starts_with(word.as_str()));
            self.words.iter().all(begins)
        });
        let phone = customer.phone.as_deref().zip(self.phone.as_deref());
        in_name || phone.is_some_and(|(phone, wanted)| digits(phone).contains(wanted))
    }
}

/// Returns the words of a text in lower case, without punctuation around and within them.
fn words(text: &str) -> impl Iterator<Item = String> {
    let is_between = |c: char| !c.is_alphanumeric() && c != '\'' && c != '’';
    text.split(is_between).filter_map(|word| {
        let letters = word.chars().filter(|c| c.is_alphanumeric());
        let word: String = letters.flat_map(char::to_lowercase).collect();
        (!word.is_empty()).then_some(word)
    })
}

fn digits(text: &str) -> String {
    text.chars().filter(char::is_ascii_digit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finds(text: &str, name: &str, phone: &str) -> bool {
        let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let customer = Customer {
            name: given(name),
            phone: given(phone),
            ..Customer::default()
        };
        Search::new(text).is_some_and(|search| search.finds(&customer))
    }

    #[test]
    fn a_name_is_found_by_the_beginnings_of_its_words_in_any_order_and_case() {
        for text in [
            "anna",
            "MÜL",
            "müller anna",
            "an mül",
            " Anna  Müller ",
            "Müller, Anna",
        ] {
            assert!(finds(text, "Anna Müller", ""), "{text}");
        }
        assert!(finds("o'brien", "Pat O’Brien", ""));
        assert!(finds("weber", "Lena Schmidt-Weber", ""));
        for text in ["nna", "anna meier", "anna x", "017"] {
            assert!(!finds(text, "Anna Müller", ""), "{text}");
        }
        assert!(!finds("anna", "", "+49 170 1234567"));
    }

    #[test]
    fn a_phone_is_found_by_its_digits_however_they_are_written() {
        let phone = "+49 (170) 123-4567";
        for text in [
            "01701234567",
            "0170 1234567",
            "+49170/1234567",
            "4567",
            "0049 170 1234567",
            "#4567",
        ] {
            let expected = text != "#4567";
            assert_eq!(finds(text, "", phone), expected, "{text}");
        }
        for text in ["567", "0567", "01701234568", "anna 4567"] {
            assert!(!finds(text, "", phone), "{text}");
        }
    }

    #[test]
    fn a_number_is_what_has_digits_only_or_a_number_sign_before_them() {
        let number = |text| Search::new(text).and_then(|search| search.number);
        assert_eq!(number("17"), Some(17));
        assert_eq!(number(" #17 "), Some(17));
        for text in ["+17", "17 a", "1 7", "99999999999999999999", "#"] {
            assert_eq!(number(text), None, "{text}");
        }
    }

    #[test]
    fn a_text_without_letters_and_digits_is_no_search() {
        for text in ["", "  ", "#", "-", "'", "…"] {
            assert_eq!(Search::new(text), None, "{text}");
        }
    }
}
