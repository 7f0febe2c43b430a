//! The languages that a client asks for: the query parameter `language`, else the header `Accept-Language`.

use domain::language::Language;

use crate::http::{parameters::parameter, problem::Problem};

/// `language`: the wanted language.
#[derive(Debug)]
pub(crate) struct WantedLanguage(Option<Language>);

parameter!(
    WantedLanguage,
    Query "language": String,
    "The wanted language, such as `de` or `pt-BR`. Default: the best of `Accept-Language`.",
    {
        max_length: Some(35),
        pattern: Some("^[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8})*$".to_owned()),
    },
    |_, tag: Option<String>| {
        let wrong = || Problem::invalid_field("language", "must be a language tag such as de or pt-BR");
        let parse = |tag: String| Language::parse_prefix(&tag).ok_or_else(wrong);
        tag.map(parse).transpose().map(Self)
    }
);

/// `Accept-Language`: the languages that the client's user reads.
#[derive(Debug)]
pub(crate) struct AcceptLanguage(Vec<Language>);

parameter!(
    AcceptLanguage,
    Header "Accept-Language": String,
    "The languages that the user reads, best first.",
    {},
    |_, header: Option<String>| {
        let languages = header.as_deref().map(Language::parse_accepted);
        Ok::<_, Problem>(Self(languages.unwrap_or_default()))
    }
);

impl WantedLanguage {
    /// Returns the wanted language, else those that the client accepts, best first.
    pub(crate) fn or(self, accepted: AcceptLanguage) -> Vec<Language> {
        self.0.map_or(accepted.0, |wanted| vec![wanted])
    }
}
