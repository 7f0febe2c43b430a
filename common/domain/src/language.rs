//! Languages of texts: tags such as `de` or `pt-BR` (BCP 47), and the choice among those that a text has.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::UnknownWord;

/// Maximum number of languages that a client's list is read for.
const MAX_WANTED: usize = 20;

/// A language with an optional script and region: `de`, `zh-Hant`, `pt-BR`, `es-419`. Other subtags are refused.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Language(String);

impl Language {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Parses a tag that may have more subtags than a [`Language`] has, and drops those.
    #[must_use]
    pub fn parse_prefix(tag: &str) -> Option<Self> {
        let mut tag = tag.trim();
        loop {
            if let Ok(language) = tag.parse() {
                return Some(language);
            }
            tag = tag.rsplit_once('-')?.0;
        }
    }

    /// Reads the value of an `Accept-Language` header, most wanted first. Entries that are not languages are skipped.
    #[must_use]
    pub fn parse_accepted(header: &str) -> Vec<Self> {
        let mut wanted: Vec<(f64, Self)> = header
            .split(',')
            .take(MAX_WANTED)
            .filter_map(|entry| {
                let (tag, quality) = entry.split_once(';').unwrap_or((entry, ""));
                let quality = quality.trim().strip_prefix("q=").unwrap_or("1");
                let quality: f64 = quality.trim().parse().ok()?;
                let is_wanted = quality > 0.0 && quality <= 1.0;
                Some((quality, Self::parse_prefix(tag)?)).filter(|_| is_wanted)
            })
            .collect();
        wanted.sort_by(|(one, _), (other, _)| other.total_cmp(one));
        wanted.into_iter().map(|(_, language)| language).collect()
    }

    /// Returns the language without its last subtag: `de` for `de-AT`.
    #[must_use]
    pub fn broader(&self) -> Option<Self> {
        let (broader, _) = self.0.rsplit_once('-')?;
        Some(Self(broader.to_owned()))
    }

    /// Returns the first wanted language that there is: the same tag, else a broader one, else another region's.
    #[must_use]
    pub fn choose<'a>(available: &'a [Self], wanted: &[Self]) -> Option<&'a Self> {
        wanted.iter().find_map(|wanted| {
            let mut tag = Some(wanted.clone());
            while let Some(language) = tag {
                if let Some(found) = available.iter().find(|one| **one == language) {
                    return Some(found);
                }
                tag = language.broader();
            }
            let same = |one: &&Self| one.primary() == wanted.primary();
            available.iter().find(same)
        })
    }

    fn primary(&self) -> &str {
        self.0.split('-').next().unwrap_or_default()
    }
}

impl Default for Language {
    /// English.
    fn default() -> Self {
        Self("en".to_owned())
    }
}

impl FromStr for Language {
    type Err = UnknownWord;

    /// Parses a tag in any case and keeps it in the usual one.
    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        let unknown = || UnknownWord {
            kind: "language",
            word: text.to_owned(),
        };
        let letters = |part: &str, lengths: std::ops::RangeInclusive<usize>| {
            lengths.contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphabetic())
        };
        let mut parts = text.split('-').peekable();
        let language = parts.next().filter(|part| letters(part, 2..=3));
        let mut tag = language.ok_or_else(unknown)?.to_ascii_lowercase();
        if let Some(script) = parts.next_if(|part| letters(part, 4..=4)) {
            tag.push('-');
            tag.push_str(&script[..1].to_ascii_uppercase());
            tag.push_str(&script[1..].to_ascii_lowercase());
        }
        let is_region = |part: &&str| {
            letters(part, 2..=2)
                || part.len() == 3 && part.bytes().all(|byte| byte.is_ascii_digit())
        };
        if let Some(region) = parts.next_if(is_region) {
            tag.push('-');
            tag.push_str(&region.to_ascii_uppercase());
        }
        match parts.next() {
            None => Ok(Self(tag)),
            Some(_) => Err(unknown()),
        }
    }
}

impl TryFrom<String> for Language {
    type Error = UnknownWord;

    fn try_from(text: String) -> Result<Self, UnknownWord> {
        text.parse()
    }
}

impl From<Language> for String {
    fn from(language: Language) -> Self {
        language.0
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

super::sql::stored_as_text!(Language);

#[cfg(test)]
mod tests {
    use super::*;

    fn languages(tags: &[&str]) -> Vec<Language> {
        tags.iter().map(|tag| tag.parse().unwrap()).collect()
    }

    #[test]
    fn a_tag_is_kept_in_its_usual_case_and_others_are_refused() {
        for (tag, kept) in [
            ("DE", "de"),
            ("pt-br", "pt-BR"),
            ("ZH-hant-tw", "zh-Hant-TW"),
            ("es-419", "es-419"),
            ("gsw", "gsw"),
        ] {
            assert_eq!(tag.parse::<Language>().unwrap().as_str(), kept);
        }
        for wrong in [
            "",
            "d",
            "german",
            "de-",
            "-de",
            "de_DE",
            "de-1996",
            "de-DE-DE",
            "d\u{e9}",
            "de-D\u{e9}",
            "de DE",
        ] {
            assert!(wrong.parse::<Language>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_clients_list_is_read_by_its_weights() {
        let wanted = Language::parse_accepted(
            "fr;q=0.3, de-AT-1996, *;q=0.5, en; q=0.8, it;q=0, x, nl;q=oops",
        );
        assert_eq!(wanted, languages(&["de-AT", "en", "fr"]));
        assert_eq!(Language::parse_accepted(""), []);
        let long = "de,".repeat(10_000);
        assert_eq!(Language::parse_accepted(&long).len(), MAX_WANTED);
    }

    #[test]
    fn the_nearest_language_is_chosen() {
        let available = languages(&["en", "de", "pt-BR", "zh-Hant"]);
        let chosen = |wanted: &[&str]| {
            let chosen = Language::choose(&available, &languages(wanted));
            chosen.map(Language::as_str)
        };
        assert_eq!(chosen(&["de"]), Some("de"));
        assert_eq!(chosen(&["de-CH"]), Some("de"));
        assert_eq!(chosen(&["pt"]), Some("pt-BR"));
        assert_eq!(chosen(&["zh-Hant-TW"]), Some("zh-Hant"));
        assert_eq!(chosen(&["fr", "de-AT", "en"]), Some("de"));
        assert_eq!(chosen(&["fr"]), None);
        assert_eq!(chosen(&[]), None);
    }
}
