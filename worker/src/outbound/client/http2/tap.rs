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
    is_handshake_refused: bool,
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
        self.0.state.lock().last_stream.is_some()
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
            HEADERS => {
                // Informational answers come before the answer; trailers, which have no status, come after it.
                let status = frame.status().filter(|status| *status >= 200);
                if status.is_some() {
                    self.change(stream, |seen| seen.status = seen.status.or(status));
                    self.0.status_seen.notify_waiters();
                }
            }
            RST_STREAM => {
                let is_refused = matches!(frame.word(0), Some(REFUSED_STREAM | HTTP_1_1_REQUIRED));
                self.change(stream, |seen| seen.is_refused = is_refused);
            }
            GOAWAY => {
                let last = frame.word(0).map(|word| word & !RESERVED_BIT);
                self.0.state.lock().last_stream = last;
            }
            _ => {}
        }
    }
}

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const GOAWAY: u8 = 7;
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

    /// Returns `:status`, which is the first field of a header block.
    fn status(&self) -> Option<u16> {
        let flags = self.bytes[4];
        let mut skipped = 0;
        if flags & PADDED != 0 {
            skipped += 1;
        }
        if flags & PRIORITY != 0 {
            skipped += 5;
        }
        decode_status(self.payload().get(skipped..)?)
    }
}

/// Decodes a header block's first field (RFC 7541) if it is `:status`, whose name has the numbers 8 to 14.
fn decode_status(mut block: &[u8]) -> Option<u16> {
    const INDEXED: [u16; 7] = [200, 204, 206, 304, 400, 404, 500];
    // A change of the table's size comes first.
    while let [first, rest @ ..] = block
        && first & 0xe0 == 0x20
    {
        block = rest;
    }
    let (first, rest) = block.split_first()?;
    if first & 0x80 != 0 {
        let at = usize::from(first & 0x7f).checked_sub(8)?;
        return INDEXED.get(at).copied();
    }
    let name = if first & 0x40 != 0 {
        first & 0x3f
    } else {
        first & 0x0f
    };
    if !(8..=14).contains(&name) {
        return None;
    }
    let (length, text) = rest.split_first()?;
    let text = text.get(..usize::from(length & 0x7f))?;
    let digits = if length & 0x80 != 0 {
        huffman_digits(text)?
    } else {
        text.to_vec()
    };
    let is_status = digits.len() == 3 && digits.iter().all(u8::is_ascii_digit);
    is_status.then(|| {
        digits
            .iter()
            .fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0'))
    })
}

/// Decodes digits in HPACK's Huffman code: 0 to 2 have five bits, 3 to 9 have six.
fn huffman_digits(text: &[u8]) -> Option<Vec<u8>> {
    let bits: Vec<u8> = text
        .iter()
        .flat_map(|byte| (0..8).rev().map(move |at| byte >> at & 1))
        .collect();
    let number = |bits: &[u8]| bits.iter().fold(0, |sum, bit| sum << 1 | bit);
    let mut bits = &bits[..];
    let mut digits = Vec::new();
    while digits.len() < 3 {
        let short = number(bits.get(..5)?);
        let (digit, length) = if short < 3 {
            (short, 5)
        } else {
            let long = number(bits.get(..6)?);
            (long.checked_sub(0b01_1001)?.checked_add(3)?, 6)
        };
        if digit > 9 {
            return None;
        }
        digits.push(b'0' + digit);
        bits = &bits[length..];
    }
    // The rest of the last byte is filled with ones.
    (bits.len() < 8 && bits.iter().all(|bit| *bit == 1)).then_some(digits)
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
        if read.as_ref().is_err_and(is_handshake_refusal) {
            self.frames.0.state.lock().is_handshake_refused = true;
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
    fn a_status_is_read_in_each_of_its_codings() {
        for (block, expected) in [
            (&[0x88][..], Some(200)),
            (&[0x8e], Some(500)),
            // A changed size of the table comes first.
            (&[0x20, 0x89], Some(204)),
            // Literals: with indexing, without, and never indexed.
            (b"\x48\x03201", Some(201)),
            (b"\x08\x03429", Some(429)),
            (b"\x1e\x03503", Some(503)),
            // In Huffman's code: 201, 307 (RFC 7541 C.6 has 302 and 307) and 999.
            (&[0x48, 0x82, 0x10, 0x03], Some(201)),
            (&[0x48, 0x83, 0x64, 0x0e, 0xff], Some(307)),
            (&[0x48, 0x82, 0x64, 0x02], Some(302)),
            (&[0x48, 0x83, 0x7d, 0xf7, 0xff], Some(999)),
            // Not a status.
            (&[0x90], None),
            (b"\x48\x0320", None),
            (b"\x48\x03abc", None),
            (b"\x48\x82\xff\xff", None),
            (b"\x0f\x03200", None),
            (&[], None),
        ] {
            assert_eq!(decode_status(block), expected, "{block:x?}");
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
