//! Names that people give to things: which are refused, and the key by which two of them are the same.

use ring::digest::{SHA256, digest};
use unicode_normalization::UnicodeNormalization;

/// Maximum length of a key in bytes; a longer one is replaced by its hash.
const MAX_KEY_BYTES: usize = 800;

/// Why a text can't be a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameRefused {
    #[error("must not be blank")]
    Blank,
    #[error("must not contain line breaks or other control characters")]
    Control,
}

/// Checks that people can see a name, and that it does not disturb the line that it stands in.
///
/// # Errors
///
/// Refuses a name without anything visible, and one with control characters.
pub fn check(name: &str) -> Result<(), NameRefused> {
    if name.chars().any(is_control) {
        return Err(NameRefused::Control);
    }
    if key(name).is_empty() {
        return Err(NameRefused::Blank);
    }
    Ok(())
}

/// Returns the key by which names are compared: those that people would take for the same have the same key. The form of
/// their letters (NFC or NFD, wide or narrow), their case, the amount of white space, and characters without width do not
/// matter.
#[must_use]
pub fn key(name: &str) -> String {
    // Each letter by itself, because the small sigma depends on its place in a word; and over the capital, because ß and
    // ss have the same one.
    let folded = name
        .nfkc()
        .filter(|c| !is_invisible(*c))
        .flat_map(char::to_lowercase)
        .flat_map(char::to_uppercase)
        .flat_map(char::to_lowercase)
        // Folding may have left a letter and its accent apart.
        .nfkc()
        .collect::<String>();
    let key = folded.split_whitespace().collect::<Vec<_>>().join(" ");
    if key.len() <= MAX_KEY_BYTES {
        return key;
    }
    let hash = digest(&SHA256, key.as_bytes());
    hash.as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Returns true for C0 and C1 controls, the separators of lines and paragraphs, and what turns the direction of a text.
fn is_control(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Returns true for the characters that are usually not drawn (Unicode's `Default_Ignorable_Code_Point`).
const fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fff8}' | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_people_would_take_for_the_same_have_one_key() {
        for (one, other) in [
            (" Table  1", "table 1"),
            ("ÄNN", "änn"),
            ("Caf\u{e9} S\u{fc}d", "Cafe\u{301} Su\u{308}d"),
            ("Table 9", "Table\u{200b} 9"),
            ("Table 9", "\u{feff}Table 9\u{2060}"),
            ("Table 9", "Table\u{a0}9"),
            ("Table 9", "Table \u{ff19}"),
            ("Gro\u{df}e Stra\u{df}e", "GROSSE STRASSE"),
            (
                "\u{39f}\u{394}\u{39f}\u{3a3}",
                "\u{3bf}\u{3b4}\u{3bf}\u{3c2}",
            ),
            ("So\u{ad}fa", "Sofa"),
            ("\u{1f44d}\u{fe0f}", "\u{1f44d}"),
            ("\u{1e9e}", "ss"),
            ("\u{345}\u{3b1}", "\u{345}\u{391}"),
        ] {
            assert_eq!(key(one), key(other), "{one:?} {other:?}");
        }
        for (one, other) in [
            ("Table 1", "Table 11"),
            ("Table 1", "Table1"),
            ("Cafe", "Caf\u{e9}"),
            ("\u{43e}", "o"),
            ("東", "西"),
        ] {
            assert_ne!(key(one), key(other), "{one:?} {other:?}");
        }
    }

    #[test]
    fn a_key_is_its_own_key_and_fits_its_column() {
        for name in [
            "Caf\u{e9} S\u{fc}d",
            "\u{130}stanbul",
            "\u{149}x",
            "\u{1f0}\u{323}",
            "\u{fdfa}",
            "x",
        ] {
            let once = key(name);
            assert_eq!(key(&once), once, "{name:?}");
        }
        assert_eq!(key(&"x".repeat(800)).len(), 800);
        let (long, other) = ("\u{fdfa}".repeat(100), "\u{fdfa}".repeat(99));
        assert_eq!(key(&long).len(), 64);
        assert_ne!(key(&long), key(&other));
    }

    #[test]
    fn a_name_can_be_seen_and_stands_in_one_line() {
        for good in [
            "x",
            "\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}",
            "Table 9",
            " 7 ",
            "مطعم",
        ] {
            assert_eq!(check(good), Ok(()), "{good:?}");
        }
        for blank in ["", "  ", "\u{200b}", "\u{feff} \u{2060}", "\u{3164}"] {
            assert_eq!(check(blank), Err(NameRefused::Blank), "{blank:?}");
        }
        for control in [
            "a\nb",
            "a\tb",
            "\0",
            "a\u{7f}",
            "\u{85}",
            "a\u{2028}b",
            "\u{202e}evil",
            "\u{2066}x",
        ] {
            assert_eq!(check(control), Err(NameRefused::Control), "{control:?}");
        }
    }
}
