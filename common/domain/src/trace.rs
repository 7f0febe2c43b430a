//! The place in a distributed trace at which something was begun, as W3C Trace Context writes it.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize, de::Error as _};

/// Length of the text of version 00.
const LENGTH: usize = 55;

/// A trace and one span of it: the value of a `traceparent` header
/// ([W3C Trace Context](https://www.w3.org/TR/trace-context/#traceparent-header), 3.2). An order keeps that of the request
/// which placed it, if its trace is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TraceContext {
    /// Not 0.
    pub trace: u128,
    /// Not 0.
    pub span: u64,
    /// True if the sender records the trace.
    pub is_sampled: bool,
}

/// Error for a text that is no `traceparent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a traceparent")]
pub struct InvalidTraceContext;

impl TraceContext {
    /// Returns the trace's id as tools show it.
    #[must_use]
    pub fn trace_id(&self) -> String {
        format!("{:032x}", self.trace)
    }
}

impl FromStr for TraceContext {
    type Err = InvalidTraceContext;

    /// Reads version 00, and of a later version the part that it must have in common with it.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.splitn(5, '-');
        let mut hex = |digits: usize| {
            let part = parts.next().filter(|part| part.len() == digits);
            let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
            let part = part.filter(|part| part.bytes().all(is_hex));
            let number = part.and_then(|part| u128::from_str_radix(part, 16).ok());
            number.ok_or(InvalidTraceContext)
        };
        let (version, trace, span, flags) = (hex(2)?, hex(32)?, hex(16)?, hex(2)?);
        let span = u64::try_from(span).map_err(|_| InvalidTraceContext)?;
        if trace == 0 || span == 0 || version == 0xff || (version == 0 && text.len() != LENGTH) {
            return Err(InvalidTraceContext);
        }
        Ok(Self {
            trace,
            span,
            is_sampled: flags & 1 == 1,
        })
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flags = u8::from(self.is_sampled);
        write!(f, "00-{:032x}-{:016x}-{flags:02x}", self.trace, self.span)
    }
}

impl Serialize for TraceContext {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TraceContext {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn the_example_of_the_specification_is_read_and_written() {
        let context: TraceContext = TEXT.parse().unwrap();
        assert_eq!(context.trace, 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c);
        assert_eq!(context.span, 0xb7ad_6b71_6920_3331);
        assert!(context.is_sampled);
        assert_eq!(context.to_string(), TEXT);
        let json = serde_json::to_string(&context).unwrap();
        assert_eq!(json, format!("\"{TEXT}\""));
        assert_eq!(
            serde_json::from_str::<TraceContext>(&json).unwrap(),
            context
        );
    }

    #[test]
    fn a_later_version_may_say_more_and_other_flags() {
        let later = format!("cc{}-what-else", &TEXT[2..]);
        assert_eq!(later.parse(), TEXT.parse::<TraceContext>());
        let flags = |flags: &str| format!("{}{flags}", &TEXT[..53]).parse::<TraceContext>();
        assert!(!flags("00").unwrap().is_sampled && !flags("fe").unwrap().is_sampled);
        assert!(flags("ff").unwrap().is_sampled);
    }

    #[test]
    fn what_the_specification_forbids_is_no_context() {
        let zero_trace = format!("00-{}-b7ad6b7169203331-01", "0".repeat(32));
        let zero_span = format!("00-0af7651916cd43dd8448eb211c80319c-{}-01", "0".repeat(16));
        let more = format!("{TEXT}-more");
        let invalid = format!("ff{}", &TEXT[2..]);
        let (upper, signed) = (TEXT.to_uppercase(), TEXT.replace("00-0a", "00-+a"));
        for text in [
            "",
            "00",
            &TEXT[..54],
            &more,
            &invalid,
            &zero_trace,
            &zero_span,
            &upper,
            &signed,
            "00-é0af7651916cd43dd8448eb211c8031-b7ad6b7169203331-01",
        ] {
            assert_eq!(
                text.parse::<TraceContext>(),
                Err(InvalidTraceContext),
                "{text}"
            );
        }
    }
}
