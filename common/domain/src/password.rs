//! Passwords: their one form, and which of them anybody guesses first.

use std::borrow::Cow;

use unicode_normalization::{UnicodeNormalization, is_nfc};

/// Minimum and maximum length in characters, in the form of [`normalised`].
pub const LENGTH: std::ops::RangeInclusive<usize> = 8..=200;

/// Why a new password is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordRefused {
    #[error("must not be the username")]
    Username,
    #[error("is one of the commonest passwords; choose another")]
    Common,
}

/// Returns the form in which a password is hashed (NFC): keyboards write the same letter in several ways.
#[must_use]
pub fn normalised(password: &str) -> Cow<'_, str> {
    if is_nfc(password) {
        Cow::Borrowed(password)
    } else {
        Cow::Owned(password.nfc().collect())
    }
}

#[must_use]
pub fn has_right_length(password: &str) -> bool {
    // Characters that are not normalised yet are counted too: they may be many more.
    password.chars().count() <= *LENGTH.end()
        && LENGTH.contains(&normalised(password).chars().count())
}

/// Checks a new password against what people who know the username try first. Case does not matter.
///
/// # Errors
///
/// Refuses the username itself, and the hundred commonest passwords.
pub fn check(password: &str, username: &str) -> Result<(), PasswordRefused> {
    let folded = normalised(password).trim().to_lowercase();
    if folded == username.to_lowercase() {
        return Err(PasswordRefused::Username);
    }
    let mut commonest = COMMONEST.split_whitespace();
    if commonest.any(|common| common == folded) {
        return Err(PasswordRefused::Common);
    }
    Ok(())
}

/// The hundred commonest passwords of at least eight characters, in small letters, from published lists of leaked ones.
const COMMONEST: &str = "
    12345678 123456789 1234567890 password password1 password123 password12 passw0rd p@ssw0rd p@ssword
    qwertyuiop qwerty123 qwerty12 qwerty1234 qwertyui 1qaz2wsx 1q2w3e4r 1q2w3e4r5t 1q2w3e4r5t6y q1w2e3r4
    q1w2e3r4t5 qazwsxedc zaq12wsx zaq1zaq1 !qaz2wsx 11111111 111111111 1111111111 00000000 000000000
    0000000000 22222222 33333333 55555555 66666666 77777777 88888888 99999999 999999999 12341234
    12344321 11223344 1122334455 112233445566 123123123 123321123 123456123 147258369 1472583690 741852963
    789456123 963852741 987654321 9876543210 87654321 0987654321 0123456789 012345678 01234567 123456789a
    12345678a a12345678 a123456789 abcd1234 abc12345 abcdefgh abcdefg1 aa123456 aa12345678 1234qwer
    qwer1234 asdf1234 asdfghjk asdfghjkl asdfasdf zxcvbnm1 iloveyou iloveyou1 princess princess1
    sunshine sunshine1 football football1 baseball baseball1 superman superman1 starwars whatever
    welcome1 welcome123 trustno1 computer changeme letmein1 admin123 administrator master123 internet
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_has_one_form_however_it_is_written() {
        assert_eq!(
            normalised("cafe\u{301} cre\u{300}me"),
            "caf\u{e9} cr\u{e8}me"
        );
        assert_eq!(normalised("\u{212b}ngstr\u{f6}m"), "\u{c5}ngstr\u{f6}m");
        assert!(matches!(normalised("open sesame"), Cow::Borrowed(_)));
        // Other letters stay others: this is no comparison of names.
        assert_ne!(normalised("Open Sesame"), normalised("open sesame"));
    }

    #[test]
    fn the_length_counts_in_the_form_that_is_hashed() {
        assert!(!has_right_length(&"e\u{301}".repeat(7)));
        assert!(has_right_length(&"e\u{301}".repeat(8)));
        assert!(!has_right_length("1234567"));
        assert!(has_right_length(&"x".repeat(200)));
        assert!(!has_right_length(&"x".repeat(201)));
    }

    #[test]
    fn the_username_and_the_hundred_commonest_are_refused_in_any_case() {
        let commonest: Vec<_> = COMMONEST.split_whitespace().collect();
        assert_eq!(commonest.len(), 100);
        for common in &commonest {
            assert!(has_right_length(common), "{common}");
            let shouted = common.to_uppercase();
            assert_eq!(
                check(&shouted, "ada"),
                Err(PasswordRefused::Common),
                "{common}"
            );
        }
        for own in [
            "ada.lovelace@x.org",
            "ADA.Lovelace@x.org",
            " ada.lovelace@x.org ",
        ] {
            assert_eq!(
                check(own, "ada.lovelace@x.org"),
                Err(PasswordRefused::Username),
                "{own}"
            );
        }
        for good in [
            "open sesame",
            "12345678 9",
            "passwords",
            "ada.lovelace@x.org!",
        ] {
            assert_eq!(check(good, "ada.lovelace@x.org"), Ok(()), "{good}");
        }
    }
}
