//! Watches the frames that a server sends: the status of each answer, refused streams, and the end of the connection.
//!
//! `h2` drops a whole header block because of one header, and its errors do not tell whether the server has seen a
//! request. Both stand in the frames (RFC 9113).

use std::{
    collections::HashMap,
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use parking_lot::Mutex;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::Notify,
};

use super::hpack::decode_status;
use crate::outbound::client::http1::is_handshake_refusal;

/// Number of streams that are remembered; a server that answers more of them was not asked.
const MAX_STREAMS: usize = 4096;

/// Record of the frames that have arrived; clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Frames(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    status_seen: Notify,
}

#[derive(Debug, Default)]
struct State {
    streams: HashMap<u32, Seen>,
    /// Last stream that the server may have processed, from GOAWAY.
    last_stream: Option<u32>,
    has_answered: bool,
    is_handshake_refused: bool,
    /// True once nothing more can be read.
    is_closed: bool,
    /// Beginning of the header block that is not complete yet.
    block: Vec<u8>,
    /// Stream of that header block.
    block_of: Option<u32>,
}

impl State {
    /// Returns the beginning of the header block that this frame begins or continues.
    fn block_with(&mut self, frame: &Frame) -> Vec<u8> {
        if frame.kind() == HEADERS {
            self.block.clear();
        } else if self.block_of != Some(frame.stream()) {
            return Vec::new();
        }
        self.block_of = (!frame.ends_block()).then(|| frame.stream());
        let part = frame.block();
        let room = MAX_PAYLOAD - self.block.len();
        self.block.extend_from_slice(&part[..part.len().min(room)]);
        self.block.clone()
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    status: Option<u16>,
    is_refused: bool,
}

/// End of a stream that got no answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct StreamEnd {
    /// The server reset the stream before it processed anything.
    pub(super) is_refused: bool,
    /// The server has left without looking at the stream.
    pub(super) is_beyond_the_last: bool,
}

impl Frames {
    pub(super) fn status(&self, stream: u32) -> Option<u16> {
        let state = self.0.state.lock();
        state.streams.get(&stream)?.status
    }

    /// Waits until the stream's status has arrived, which may be before the head is complete.
    pub(super) async fn until_status(&self, stream: u32) {
        loop {
            let changed = self.0.status_seen.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.status(stream).is_some() {
                return;
            }
            changed.await;
        }
    }

    /// Returns true once the server takes no more requests.
    pub(super) fn is_going_away(&self) -> bool {
        let state = self.0.state.lock();
        state.is_closed || state.last_stream.is_some()
    }

    /// Returns true if the server ended the TLS handshake after it had seemed to be complete.
    pub(super) fn is_handshake_refused(&self) -> bool {
        self.0.state.lock().is_handshake_refused
    }

    /// Forgets a stream, and returns how it ended.
    pub(super) fn forget(&self, stream: u32) -> StreamEnd {
        let mut state = self.0.state.lock();
        let seen = state.streams.remove(&stream).unwrap_or_default();
        StreamEnd {
            is_refused: seen.is_refused,
            is_beyond_the_last: state.last_stream.is_some_and(|last| stream > last),
        }
    }

    fn change(&self, stream: u32, change: impl FnOnce(&mut Seen)) {
        let mut state = self.0.state.lock();
        if state.streams.len() < MAX_STREAMS || state.streams.contains_key(&stream) {
            change(state.streams.entry(stream).or_default());
        }
    }

    fn take(&self, frame: &Frame) {
        let stream = frame.stream();
        match frame.kind() {
            HEADERS | CONTINUATION => {
                // Informational answers come before the answer; trailers, which have no status, come after it.
                let block = self.0.state.lock().block_with(frame);
                let status = decode_status(&block).filter(|status| *status >= 200);
                if status.is_some() {
                    self.0.state.lock().has_answered = true;
                    self.change(stream, |seen| seen.status = seen.status.or(status));
                    self.0.status_seen.notify_waiters();
                }
            }
            RST_STREAM => {
                let is_refused = matches!(frame.word(0), Some(REFUSED_STREAM | HTTP_1_1_REQUIRED));
                self.change(stream, |seen| seen.is_refused = is_refused);
            }
            GOAWAY => {
                // With its reason, so that it is whole.
                if let (Some(last), Some(_)) = (frame.word(0), frame.word(1)) {
                    self.0.state.lock().last_stream = Some(last & !RESERVED_BIT);
                }
            }
            _ => {}
        }
    }
}

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 0x04;
const PADDED: u8 = 0x08;
const PRIORITY: u8 = 0x20;
const REFUSED_STREAM: u32 = 7;
const HTTP_1_1_REQUIRED: u32 = 13;
const RESERVED_BIT: u32 = 1 << 31;
const HEAD_BYTES: usize = 9;
/// Bytes of a payload that are looked at.
const MAX_PAYLOAD: usize = 64;

/// A frame's head and the beginning of its payload.
#[derive(Debug, Default)]
struct Frame {
    bytes: Vec<u8>,
    /// Bytes of the payload that are still to come.
    left: usize,
}

impl Frame {
    /// Takes bytes from the stream; returns the rest, and true once the frame is complete.
    fn feed<'a>(&mut self, bytes: &'a [u8]) -> (&'a [u8], bool) {
        let missing = HEAD_BYTES.saturating_sub(self.bytes.len());
        let (head, rest) = bytes.split_at(missing.min(bytes.len()));
        self.bytes.extend_from_slice(head);
        if self.bytes.len() < HEAD_BYTES {
            return (rest, false);
        }
        if missing > 0 {
            let length = [0, self.bytes[0], self.bytes[1], self.bytes[2]];
            self.left = u32::from_be_bytes(length) as usize;
        }
        let (payload, rest) = rest.split_at(self.left.min(rest.len()));
        self.left -= payload.len();
        let room = HEAD_BYTES + MAX_PAYLOAD - self.bytes.len();
        self.bytes
            .extend_from_slice(&payload[..payload.len().min(room)]);
        (rest, self.left == 0)
    }

    fn kind(&self) -> u8 {
        self.bytes[3]
    }

    fn stream(&self) -> u32 {
        let word = [5, 6, 7, 8].map(|at| self.bytes[at]);
        u32::from_be_bytes(word) & !RESERVED_BIT
    }

    fn payload(&self) -> &[u8] {
        &self.bytes[HEAD_BYTES..]
    }

    /// Returns the payload's `n`th number of 32 bits.
    fn word(&self, n: usize) -> Option<u32> {
        let word = self.payload().get(4 * n..4 * n + 4)?;
        Some(u32::from_be_bytes(word.try_into().ok()?))
    }

    fn ends_block(&self) -> bool {
        self.bytes[4] & END_HEADERS != 0
    }

    /// Returns the beginning of the part of a header block that it carries.
    fn block(&self) -> &[u8] {
        // Those of CONTINUATION mean nothing here.
        let is_first = self.kind() == HEADERS;
        let flags = if is_first { self.bytes[4] } else { 0 };
        let length = u32::from_be_bytes([0, self.bytes[0], self.bytes[1], self.bytes[2]]);
        let (mut begin, mut end) = (0, length as usize);
        if flags & PADDED != 0 {
            begin += 1;
            let padding = self.payload().first().copied().unwrap_or(0);
            end = end.saturating_sub(padding.into());
        }
        if flags & PRIORITY != 0 {
            begin += 5;
        }
        let end = end.min(self.payload().len());
        self.payload().get(begin..end).unwrap_or(&[])
    }
}

/// Byte stream whose incoming frames are watched.
#[derive(Debug)]
pub(super) struct Tap<S> {
    stream: S,
    frame: Frame,
    frames: Frames,
}

impl<S> Tap<S> {
    pub(super) fn new(stream: S, frames: Frames) -> Self {
        Self {
            stream,
            frame: Frame::default(),
            frames,
        }
    }

    fn watch(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (rest, is_complete) = self.frame.feed(bytes);
            bytes = rest;
            if is_complete {
                self.frames.take(&self.frame);
                self.frame = Frame::default();
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Tap<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = ready!(Pin::new(&mut self.stream).poll_read(cx, buffer));
        let is_end = buffer.filled().len() == before && buffer.remaining() > 0;
        if read.is_err() || is_end {
            let mut state = self.frames.0.state.lock();
            state.is_closed = true;
            // Once it has answered, an alert says nothing of the handshake.
            state.is_handshake_refused |=
                !state.has_answered && read.as_ref().is_err_and(is_handshake_refusal);
        }
        self.watch(&buffer.filled()[before..]);
        Poll::Ready(read)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Tap<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_found_wherever_the_header_block_is_cut() {
        let frame = |kind: u8, flags: u8, payload: &[u8]| {
            let length = u8::try_from(payload.len()).unwrap();
            let head = [0, 0, length, kind, flags, 0, 0, 0, 1];
            [&head[..], payload].concat()
        };
        let block = b"\x48\x03201\x00\x01x\x01y";
        for cut in 0..=block.len() {
            let padded = [&[3][..], &block[..cut], &[0, 0, 0]].concat();
            for first in [frame(1, 0, &block[..cut]), frame(1, PADDED, &padded)] {
                let frames = Frames::default();
                let mut tap = Tap::new((), frames.clone());
                // Flags of another kind of frame mean nothing here.
                tap.watch(&[first, frame(9, PADDED | PRIORITY, &block[cut..])].concat());
                assert_eq!(frames.status(1), Some(201), "{cut}");
            }
        }
    }

    #[test]
    fn frames_are_read_however_the_bytes_are_cut() {
        let mut bytes = Vec::new();
        // SETTINGS; informational HEADERS; padded HEADERS with a priority; DATA; RST_STREAM; GOAWAY.
        bytes.extend_from_slice(b"\0\0\0\x04\0\0\0\0\0");
        bytes.extend_from_slice(b"\0\0\x05\x01\x04\0\0\0\x01\x48\x03103");
        bytes.extend_from_slice(b"\0\0\x0d\x01\x2c\0\0\0\x01\x02\0\0\0\0\0\x48\x03201\0\0");
        bytes.extend_from_slice(b"\0\0\xc8\0\0\0\0\0\x01");
        bytes.extend_from_slice(&[0; 200]);
        bytes.extend_from_slice(b"\0\0\x04\x03\0\0\0\0\x03\0\0\0\x07");
        bytes.extend_from_slice(b"\0\0\x08\x07\0\0\0\0\0\x80\0\0\x05\0\0\0\0");
        for size in [1, 2, 7, 9, 10, 64, 1000] {
            let frames = Frames::default();
            let mut tap = Tap::new((), frames.clone());
            for part in bytes.chunks(size) {
                tap.watch(part);
            }
            assert_eq!(frames.status(1), Some(201), "{size}");
            assert!(frames.is_going_away(), "{size}");
            let ends = [1, 3, 5, 7].map(|id| {
                let end = frames.forget(id);
                (end.is_refused, end.is_beyond_the_last)
            });
            let expected = [(false, false), (true, false), (false, false), (false, true)];
            assert_eq!(ends, expected, "{size}");
            assert_eq!(frames.status(1), None, "{size}");
        }
    }
}
