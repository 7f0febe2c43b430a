//! Value types of settings: secrets, URLs that may contain a password, durations.

use std::{fmt, str::FromStr, time::Duration};

use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use serde::{Deserialize, Deserializer, de};
use url::{Position, Url};
use zeroize::Zeroizing;

use platform::hosts;

/// A secret text that is never printed. Empty means not set.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Decodes 32 bytes from base64, padded or not. Returns `None` for anything else.
    #[must_use]
    pub fn key(&self) -> Option<Zeroizing<[u8; 32]>> {
        let indifferent =
            GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
        let engine = GeneralPurpose::new(&alphabet::STANDARD, indifferent);
        let bytes = Zeroizing::new(engine.decode(self.0.as_bytes()).ok()?);
        bytes.as_slice().try_into().ok().map(Zeroizing::new)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // serde's own message for a wrong type would repeat the value.
        String::deserialize(deserializer)
            .map(Self::new)
            .map_err(|_| de::Error::custom("a secret must be a string; put it in quotes"))
    }
}

/// Reads a list of secrets, or one text with spaces or line breaks between them, as a file may have it.
pub(crate) fn secrets<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Secret>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Given {
        Text(String),
        List(Vec<String>),
    }
    // serde's own message would repeat a value.
    let given = Given::deserialize(deserializer)
        .map_err(|_| de::Error::custom("must be a list of secrets, each in quotes"))?;
    Ok(match given {
        Given::Text(text) => text.split_whitespace().map(Secret::new).collect(),
        Given::List(secrets) => secrets.into_iter().map(Secret::new).collect(),
    })
}

/// A URL that may contain a password; printing masks it. For a database or a broker it may name several hosts.
#[derive(Clone, PartialEq, Eq)]
pub struct ServiceUrl {
    /// The URL as written: the `url` crate rewrites paths, such as that of a SQLite file.
    text: String,
    /// The URL of the first host.
    parsed: Url,
    /// Names of the further hosts.
    others: Vec<String>,
}

impl ServiceUrl {
    /// Returns the URL as written, with its password.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// Returns the URL of the first host.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.parsed
    }

    #[must_use]
    pub fn has_several_hosts(&self) -> bool {
        !self.others.is_empty()
    }

    #[must_use]
    pub fn scheme(&self) -> &str {
        self.parsed.scheme()
    }
}

impl TryFrom<String> for ServiceUrl {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let hosts = hosts::split(&text).map_err(|error| error.to_string())?;
        let mut hosts = hosts.into_iter();
        let first = hosts.next().map_or(text.clone(), |host| host.url);
        let parsed = Url::parse(&first).map_err(|_| "not a URL like scheme://host/path")?;
        let others = hosts.map(|host| host.name).collect();
        Ok(Self {
            text,
            parsed,
            others,
        })
    }
}

impl fmt::Display for ServiceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.parsed.password().is_none() && self.parsed.query().is_none() {
            return f.write_str(&self.text);
        }
        let mut shown = self.parsed.clone();
        if shown.password().is_some() && shown.set_password(Some("***")).is_err() {
            return write!(f, "{}:***", self.scheme());
        }
        // Some drivers take a password as ?password=…, and the query does not help a reader.
        shown.set_query(None);
        f.write_str(&shown[..Position::AfterPort])?;
        for other in &self.others {
            write!(f, ",{other}")?;
        }
        f.write_str(&shown[Position::AfterPort..])
    }
}

impl fmt::Debug for ServiceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

impl<'de> Deserialize<'de> for ServiceUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .try_into()
            .map_err(de::Error::custom)
    }
}

pub(super) fn optional_url<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<ServiceUrl>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.is_empty() {
        return Ok(None);
    }
    text.try_into().map(Some).map_err(de::Error::custom)
}

pub(super) fn optional_text<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<String>, D::Error> {
    let text = String::deserialize(deserializer)?;
    Ok((!text.is_empty()).then_some(text))
}

pub(super) fn optional_parsed<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: fmt::Display>,
{
    let text = optional_text(deserializer)?;
    text.map(|text| text.parse().map_err(de::Error::custom))
        .transpose()
}

pub(super) fn milliseconds<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Duration, D::Error> {
    u64::deserialize(deserializer).map(Duration::from_millis)
}

pub(super) fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    u64::deserialize(deserializer).map(Duration::from_secs)
}
