//! Money in minor units: never a float, never two currencies in one sum.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Maximum amount of one order, in minor units; far below what could overflow in a sum.
pub const MAX_AMOUNT: i64 = 1_000_000_000_000;

/// An ISO 4217 code: three capital letters.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Currency([u8; 3]);

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a currency is three capital letters (ISO 4217), such as EUR")]
pub struct InvalidCurrency;

impl Currency {
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("a currency holds ASCII letters only")
    }

    /// Returns the number of decimals of the currency's amounts (ISO 4217's exponent).
    #[must_use]
    pub fn decimals(self) -> u32 {
        match &self.0 {
            b"BIF" | b"CLP" | b"DJF" | b"GNF" | b"ISK" | b"JPY" | b"KMF" | b"KRW" | b"PYG"
            | b"RWF" | b"UGX" | b"UYI" | b"VND" | b"VUV" | b"XAF" | b"XOF" | b"XPF" => 0,
            b"BHD" | b"IQD" | b"JOD" | b"KWD" | b"LYD" | b"OMR" | b"TND" => 3,
            b"CLF" | b"UYW" => 4,
            _ => 2,
        }
    }
}

impl FromStr for Currency {
    type Err = InvalidCurrency;

    fn from_str(text: &str) -> Result<Self, InvalidCurrency> {
        match <[u8; 3]>::try_from(text.as_bytes()) {
            Ok(letters) if letters.iter().all(u8::is_ascii_uppercase) => Ok(Self(letters)),
            _ => Err(InvalidCurrency),
        }
    }
}

crate::sql::stored_as_text!(Currency);

impl TryFrom<String> for Currency {
    type Error = InvalidCurrency;

    fn try_from(text: String) -> Result<Self, InvalidCurrency> {
        text.parse()
    }
}

impl From<Currency> for String {
    fn from(currency: Currency) -> Self {
        currency.as_str().to_owned()
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An amount in minor units (cents) of one currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Money {
    pub amount: i64,
    pub currency: Currency,
}

impl Money {
    #[must_use]
    pub const fn new(amount: i64, currency: Currency) -> Self {
        Self { amount, currency }
    }

    /// Parses a decimal such as `1.80` exactly. Returns `None` for anything else, a negative amount, one above
    /// [`MAX_AMOUNT`], or one with a fraction of a minor unit.
    #[must_use]
    pub fn from_decimal(text: &str, currency: Currency) -> Option<Self> {
        let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
        let is_number = |text: &str| {
            (1..=18).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
        };
        if !is_number(whole) || !is_number(part) {
            return None;
        }
        let decimals = currency.decimals() as usize;
        let (kept, beyond) = part.split_at(part.len().min(decimals));
        if beyond.bytes().any(|byte| byte != b'0') {
            return None;
        }
        let minor = format!("{whole}{kept:0<decimals$}");
        let amount = minor.parse().ok().filter(|amount| *amount <= MAX_AMOUNT)?;
        Some(Self { amount, currency })
    }

    /// Multiplies by a quantity; returns `None` above [`MAX_AMOUNT`].
    #[must_use]
    pub fn times(self, quantity: u32) -> Option<Self> {
        let amount = self.amount.checked_mul(i64::from(quantity))?;
        (amount.abs() <= MAX_AMOUNT).then_some(Self { amount, ..self })
    }

    /// Adds an amount; returns `None` for another currency, or above [`MAX_AMOUNT`].
    #[must_use]
    pub fn plus(self, other: Self) -> Option<Self> {
        if self.currency != other.currency {
            return None;
        }
        let amount = self.amount.checked_add(other.amount)?;
        (amount.abs() <= MAX_AMOUNT).then_some(Self { amount, ..self })
    }
}

/// Formats the amount for people, without the currency: `2.50`, `250` (JPY), `-0.05`.
impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let decimals = self.currency.decimals();
        if decimals == 0 {
            return write!(f, "{}", self.amount);
        }
        let unit = 10_u64.pow(decimals);
        let sign = if self.amount < 0 { "-" } else { "" };
        let (whole, part) = (
            self.amount.unsigned_abs() / unit,
            self.amount.unsigned_abs() % unit,
        );
        write!(f, "{sign}{whole}.{part:0width$}", width = decimals as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn eur(amount: i64) -> Money {
        Money::new(amount, "EUR".parse().unwrap())
    }

    #[test]
    fn money_is_written_with_the_currencys_decimals() {
        assert_eq!(eur(250).to_string(), "2.50");
        assert_eq!(eur(-5).to_string(), "-0.05");
        assert_eq!(Money::new(250, "JPY".parse().unwrap()).to_string(), "250");
        assert_eq!(
            Money::new(1005, "KWD".parse().unwrap()).to_string(),
            "1.005"
        );
        assert_eq!(
            Money::new(1005, "CLF".parse().unwrap()).to_string(),
            "0.1005"
        );
    }

    #[test]
    fn a_decimal_is_read_exactly_or_not_at_all() {
        let read = |text, currency: &str| {
            Money::from_decimal(text, currency.parse().unwrap()).map(|money| money.amount)
        };
        for (text, cents) in [
            ("1.80", 180),
            ("1.8", 180),
            ("0.07", 7),
            ("17", 1700),
            ("0", 0),
            ("1.8000", 180),
            ("8.20", 820),
            ("10000000000.00", MAX_AMOUNT),
        ] {
            assert_eq!(read(text, "EUR"), Some(cents), "{text}");
        }
        assert_eq!(read("180", "JPY"), Some(180));
        assert_eq!(read("180.00", "JPY"), Some(180));
        assert_eq!(read("1.8", "KWD"), Some(1800));
        for wrong in [
            "",
            ".",
            "1.",
            ".5",
            "-1",
            "+1",
            "1.805",
            "1,80",
            "1e2",
            " 1",
            "1.8.0",
            "NaN",
            "١",
            "10000000000.01",
            "99999999999999999999",
        ] {
            assert_eq!(read(wrong, "EUR"), None, "{wrong:?}");
        }
    }

    #[test]
    fn two_currencies_never_add_up_and_nothing_overflows() {
        assert_eq!(eur(1).plus(Money::new(1, "USD".parse().unwrap())), None);
        assert_eq!(eur(i64::MAX).times(2), None);
        assert_eq!(eur(MAX_AMOUNT).plus(eur(1)), None);
        assert_eq!(eur(250).times(2), Some(eur(500)));
        assert_eq!(eur(250).plus(eur(30)), Some(eur(280)));
    }

    #[test]
    fn a_currency_is_three_capital_letters() {
        for wrong in ["eur", "EURO", "", "E1R", "€"] {
            assert_eq!(wrong.parse::<Currency>(), Err(InvalidCurrency), "{wrong}");
        }
    }
}
