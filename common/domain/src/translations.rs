//! Texts in other languages than the store's.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::language::Language;

/// Name and description in one language; `None` falls back to the main ones.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Texts {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// Names and descriptions in other languages than the store's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Translations(pub BTreeMap<Language, Texts>);

impl Translations {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the name in this language, else in a broader one, else the main one.
    #[must_use]
    pub fn name<'a>(&'a self, language: &Language, main: &'a str) -> &'a str {
        self.find(language, |texts| texts.name.as_deref())
            .unwrap_or(main)
    }

    /// Returns the description as [`Self::name`] does the name.
    #[must_use]
    pub fn description<'a>(
        &'a self,
        language: &Language,
        main: Option<&'a str>,
    ) -> Option<&'a str> {
        self.find(language, |texts| texts.description.as_deref())
            .or(main)
    }

    fn find<'a>(
        &'a self,
        language: &Language,
        text: impl Fn(&'a Texts) -> Option<&'a str>,
    ) -> Option<&'a str> {
        if self.0.is_empty() {
            return None;
        }
        let mut tag = Some(language.clone());
        while let Some(language) = tag {
            if let Some(text) = self.0.get(&language).and_then(&text) {
                return Some(text);
            }
            tag = language.broader();
        }
        None
    }
}
