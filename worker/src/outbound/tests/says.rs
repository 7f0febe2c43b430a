//! An answer in the terms of either version of HTTP, and the script that sends it.

use std::time::Duration;

use crate::testing::scripted::{Script, Step, Transport, header_block};

/// Body of a whole answer.
pub(super) const WHOLE: &str = r#"{"reference":"R-7"}"#;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// Answer in the terms of either version of the protocol.
#[derive(Clone, Debug)]
pub(super) struct Says {
    /// Informational answers before the answer.
    pub(super) informational: &'static [u16],
    pub(super) status: Option<u16>,
    pub(super) lines: Vec<String>,
    pub(super) is_head_complete: bool,
    pub(super) framing: Framing,
    pub(super) body: String,
    pub(super) end: End,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Framing {
    Length(usize),
    Chunked,
    UntilClose,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Complete,
    Close,
    Hang,
    Drip,
    Pour,
}

impl Says {
    pub(super) fn whole(status: u16) -> Self {
        Self {
            informational: &[],
            status: Some(status),
            lines: Vec::new(),
            is_head_complete: true,
            framing: Framing::Length(WHOLE.len()),
            body: WHOLE.to_owned(),
            end: End::Complete,
        }
    }

    pub(super) fn line(mut self, line: impl Into<String>) -> Self {
        self.lines.push(line.into());
        self
    }

    pub(super) fn body(mut self, framing: Framing, body: &str, end: End) -> Self {
        (self.framing, self.body, self.end) = (framing, body.to_owned(), end);
        self
    }

    /// Ends within the head, after its status line.
    pub(super) fn cut_head(mut self, end: End) -> Self {
        (self.is_head_complete, self.end) = (false, end);
        self
    }

    pub(super) fn script(&self, transport: Transport) -> Script {
        let mut script = match transport {
            Transport::Plain | Transport::Tls => self.http1(),
            Transport::Http2 => self.http2(),
        };
        let filler = |length| vec![self.filler(transport, length)];
        match self.end {
            End::Complete => {}
            End::Close => script.push(Step::Close),
            End::Hang => script.push(Step::Hang),
            End::Drip => script.push(Step::Repeat(filler(1), Duration::from_millis(5))),
            End::Pour => script.push(Step::Repeat(filler(1 << 14), Duration::ZERO)),
        }
        script
    }

    fn http1(&self) -> Script {
        let mut said = String::new();
        for status in self.informational {
            said += &format!("HTTP/1.1 {status} x\r\nx-early: 1\r\n\r\n");
        }
        if let Some(status) = self.status {
            said += &format!("HTTP/1.1 {status} x\r\n");
            for line in &self.lines {
                said += &format!("{line}\r\n");
            }
        }
        if self.status.is_none() || !self.is_head_complete {
            return vec![Step::Say(said.into_bytes())];
        }
        let body = &self.body;
        said += &match self.framing {
            Framing::Length(length) => format!("content-length: {length}\r\n\r\n{body}"),
            Framing::UntilClose => format!("\r\n{body}"),
            Framing::Chunked => {
                let length = body.len();
                format!("transfer-encoding: chunked\r\n\r\n{length:x}\r\n{body}\r\n")
            }
        };
        let mut script = vec![Step::Say(said.into_bytes())];
        match (self.framing, self.end) {
            (Framing::Chunked, End::Complete) => script.push(Step::Say(b"0\r\n\r\n".to_vec())),
            (Framing::UntilClose, End::Complete) => script.push(Step::Close),
            _ => {}
        }
        script
    }

    fn http2(&self) -> Script {
        let mut script = Vec::new();
        for status in self.informational {
            let block = header_block(&[(":status", &status.to_string()), ("x-early", "1")]);
            script.push(Step::Frame(HEADERS, END_HEADERS, block));
        }
        let Some(status) = self.status else {
            return script;
        };
        let status = status.to_string();
        let length = match self.framing {
            Framing::Length(length) => Some(format!("content-length: {length}")),
            _ => None,
        };
        let lines: Vec<(String, &str)> = self
            .lines
            .iter()
            .chain(&length)
            .map(|line| line.split_once(':').unwrap_or((line, "")))
            .map(|(name, value)| (name.to_lowercase(), value.trim()))
            .collect();
        let mut fields = vec![(":status", &*status)];
        fields.extend(lines.iter().map(|(name, value)| (&**name, *value)));
        let flags = if self.is_head_complete {
            END_HEADERS
        } else {
            0
        };
        script.push(Step::Frame(HEADERS, flags, header_block(&fields)));
        if self.is_head_complete {
            let end = if self.end == End::Complete {
                END_STREAM
            } else {
                0
            };
            script.push(Step::Frame(DATA, end, self.body.clone().into_bytes()));
        }
        script
    }

    /// Returns a part of an answer that does not end: of its body, else of its head.
    fn filler(&self, transport: Transport, length: usize) -> Step {
        const CONTINUATION: u8 = 9;
        let text = "x".repeat(length);
        let is_in_body = self.status.is_some() && self.is_head_complete;
        match (transport, self.framing) {
            (Transport::Http2, _) if is_in_body => Step::Frame(DATA, 0, text.into_bytes()),
            (Transport::Http2, _) => Step::Frame(CONTINUATION, 0, header_block(&[("x", &text)])),
            (_, Framing::Chunked) if is_in_body => {
                Step::Say(format!("{length:x}\r\n{text}\r\n").into_bytes())
            }
            _ => Step::Say(text.into_bytes()),
        }
    }
}
