//! Frames on their way to a client. Their long parts are shared by all clients, and a frame is sent in fragments, so
//! that a client that does not read holds few bytes of its own.

use std::{any::Any, collections::VecDeque, sync::Arc};

use bytes::{Bytes, BytesMut};
use tokio_tungstenite::tungstenite::{
    Message,
    protocol::frame::{
        Frame as Fragment,
        coding::{Data, OpCode},
    },
};

/// Maximum bytes of a fragment, which a connection copies before it sends them. It keeps room for the longest one.
const MAX_FRAGMENT_BYTES: usize = 4096;

/// Text message for one client, as an iterator over its fragments on a WebSocket.
#[derive(Clone, Debug, Default)]
pub struct Frame {
    parts: VecDeque<Bytes>,
    is_begun: bool,
    /// Keeps the snapshot that the parts belong to, so that other clients share it meanwhile.
    _snapshot: Option<Arc<dyn Any + Send + Sync>>,
}

impl Frame {
    /// Joins the parts, which are cheap to clone.
    pub fn of(parts: impl IntoIterator<Item = Bytes>) -> Self {
        let parts = parts.into_iter().filter(|part| !part.is_empty());
        Self {
            parts: parts.collect(),
            ..Self::default()
        }
    }

    pub(crate) fn keeping(self, snapshot: Arc<dyn Any + Send + Sync>) -> Self {
        Self {
            _snapshot: Some(snapshot),
            ..self
        }
    }

    /// Returns the frame with bytes before and after it.
    pub(crate) fn between(mut self, before: Bytes, after: Bytes) -> Self {
        self.parts.push_front(before);
        self.parts.push_back(after);
        self
    }

    /// Takes the next bytes to send; `None` when all were taken.
    pub(crate) fn next_bytes(&mut self) -> Option<Bytes> {
        (!self.parts.is_empty()).then(|| self.take())
    }

    /// Returns the whole text.
    #[cfg(test)]
    pub(crate) fn text(&self) -> String {
        let bytes: Vec<u8> = self.parts.iter().flatten().copied().collect();
        String::from_utf8(bytes).expect("a frame is UTF-8")
    }

    /// Takes the next bytes, without a copy if one part has enough of them.
    fn take(&mut self) -> Bytes {
        let Some(mut part) = self.parts.pop_front() else {
            return Bytes::new();
        };
        if part.len() >= MAX_FRAGMENT_BYTES || self.parts.is_empty() {
            let taken = part.split_to(part.len().min(MAX_FRAGMENT_BYTES));
            if !part.is_empty() {
                self.parts.push_front(part);
            }
            return taken;
        }
        let mut taken = BytesMut::with_capacity(MAX_FRAGMENT_BYTES);
        taken.extend_from_slice(&part);
        while let Some(mut part) = self.parts.pop_front() {
            let room = MAX_FRAGMENT_BYTES - taken.len();
            taken.extend_from_slice(&part.split_to(part.len().min(room)));
            if !part.is_empty() {
                self.parts.push_front(part);
                break;
            }
        }
        taken.freeze()
    }
}

impl From<String> for Frame {
    fn from(text: String) -> Self {
        Self::of([Bytes::from(text)])
    }
}

impl Iterator for Frame {
    type Item = Message;

    fn next(&mut self) -> Option<Message> {
        let bytes = self.next_bytes()?;
        let kind = if self.is_begun {
            Data::Continue
        } else {
            Data::Text
        };
        self.is_begun = true;
        let is_last = self.parts.is_empty();
        let fragment = Fragment::message(bytes, OpCode::Data(kind), is_last);
        Some(Message::Frame(fragment))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fragments(frame: Frame) -> Vec<(usize, bool, Data)> {
        frame
            .map(|message| match message {
                Message::Frame(fragment) => {
                    let header = fragment.header();
                    let OpCode::Data(kind) = header.opcode else {
                        panic!("not data")
                    };
                    (fragment.payload().len(), header.is_final, kind)
                }
                other => panic!("not a fragment: {other:?}"),
            })
            .collect()
    }

    #[test]
    fn a_frame_of_any_length_is_sent_in_fragments_of_bounded_length() {
        const MAX: usize = MAX_FRAGMENT_BYTES;
        for (parts, expected) in [
            (vec![1], vec![1]),
            (vec![MAX], vec![MAX]),
            (vec![MAX + 1], vec![MAX, 1]),
            (vec![10, 5, 7], vec![22]),
            (vec![10, MAX, 7], vec![MAX, 17]),
            (vec![MAX, 0, 7], vec![MAX, 7]),
            (vec![3 * MAX, 1, 2 * MAX], vec![MAX, MAX, MAX, MAX, MAX, 1]),
        ] {
            let frame = Frame::of(parts.iter().map(|length| Bytes::from(vec![b'x'; *length])));
            let sent = fragments(frame);
            let lengths: Vec<_> = sent.iter().map(|(length, ..)| *length).collect();
            assert_eq!(lengths, expected, "{parts:?}");
            for (at, (_, is_final, kind)) in sent.iter().enumerate() {
                assert_eq!(*is_final, at + 1 == sent.len());
                assert_eq!(*kind == Data::Text, at == 0);
            }
        }
    }
}
