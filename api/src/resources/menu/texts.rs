//! Translations of names and descriptions, as the API takes and shows them.

use std::collections::BTreeMap;

use domain::{
    language::Language,
    translations::{Texts, Translations},
};
use poem_openapi::Object;

use crate::http::problem::FieldError;

/// Name and description in one language. An absent one is shown in the store's language.
#[derive(Clone, Debug, Object)]
#[oai(rename = "Texts", deny_unknown_fields)]
pub(in crate::resources) struct TextsBody {
    #[oai(validator(min_length = 1, max_length = 200))]
    name: Option<String>,
    #[oai(validator(max_length = 2000))]
    description: Option<String>,
}

/// Texts by language tag.
pub(in crate::resources) type TranslationsBody = BTreeMap<String, TextsBody>;

/// Maximum number of languages of one text.
const MAX_LANGUAGES: usize = 20;

/// Name in one language.
#[derive(Clone, Debug, Object)]
#[oai(rename = "TranslatedName", deny_unknown_fields)]
pub(in crate::resources) struct NameBody {
    #[oai(validator(min_length = 1, max_length = 100))]
    name: String,
}

/// Names by language tag.
pub(in crate::resources) type NamesBody = BTreeMap<String, NameBody>;

/// Reads the field `translations` of what has a name only, as [`parse`] does.
pub(in crate::resources) fn parse_names(body: NamesBody) -> Result<Translations, Vec<FieldError>> {
    let texts = body.into_iter().map(|(tag, NameBody { name })| {
        let texts = TextsBody {
            name: Some(name),
            description: None,
        };
        (tag, texts)
    });
    parse(texts.collect())
}

/// Shows names as [`parse_names`] reads them.
pub(in crate::resources) fn show_names(translations: &Translations) -> NamesBody {
    let shown = translations.0.iter().filter_map(|(language, texts)| {
        let name = texts.name.clone()?;
        Some((language.to_string(), NameBody { name }))
    });
    shown.collect()
}

/// Reads the field `translations`; the errors name each key that is no language or is there twice.
pub(in crate::resources) fn parse(body: TranslationsBody) -> Result<Translations, Vec<FieldError>> {
    let mut translations = Translations::default();
    let mut errors = Vec::new();
    if body.len() > MAX_LANGUAGES {
        let detail = format!("must have at most {MAX_LANGUAGES} members");
        return Err(vec![FieldError::new("/translations", detail)]);
    }
    for (tag, TextsBody { name, description }) in body {
        let pointer = format!(
            "/translations/{}",
            tag.replace('~', "~0").replace('/', "~1")
        );
        match tag.parse::<Language>() {
            Err(_) => {
                let detail = "must be named by a language tag such as de, pt-BR or zh-Hant";
                errors.push(FieldError::new(pointer, detail));
            }
            Ok(language) => {
                let texts = Texts { name, description };
                if translations.0.insert(language, texts).is_some() {
                    errors.push(FieldError::new(pointer, "names a language twice"));
                }
            }
        }
    }
    if errors.is_empty() {
        Ok(translations)
    } else {
        Err(errors)
    }
}

/// Shows translations as [`parse`] reads them.
pub(in crate::resources) fn show(translations: &Translations) -> TranslationsBody {
    let shown = translations.0.iter().map(|(language, texts)| {
        let texts = TextsBody {
            name: texts.name.clone(),
            description: texts.description.clone(),
        };
        (language.to_string(), texts)
    });
    shown.collect()
}
