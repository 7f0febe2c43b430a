//! A client's connection, which is closed if its handshake or the head of a request comes too slowly, and which counts as
//! open until it is dropped.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::OwnedSemaphorePermit,
    time::{Instant, Sleep},
};

use super::line::Line;

/// Begins a connection that speaks HTTP/2, whose frames have no end of a head.
const HTTP2: &[u8] = b"PRI * HTTP/2";
/// Begins the answer after which a connection is a WebSocket.
const SWITCHED: &[u8] = b"HTTP/1.1 101";
/// Begins an answer that is followed by the rest of the same request.
const CONTINUE: &[u8] = b"HTTP/1.1 100";

/// Stage of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Between two requests.
    Idle,
    /// In the head of a request; `matched` bytes of `\r\n\r\n` came last. It has `begun` once there was anything but
    /// empty lines, which may precede it.
    Head { begun: bool, matched: usize },
    /// After the head: its body comes, or its answer is made.
    Answering,
    /// Not HTTP/1 any more.
    Other,
}

/// An accepted connection.
#[derive(Debug)]
pub struct Connection {
    line: Line,
    stage: Stage,
    within: Duration,
    /// Set while a handshake or a head is under way.
    deadline: Option<Pin<Box<Sleep>>>,
    _counted: OwnedSemaphorePermit,
}

impl Connection {
    pub(super) fn new(line: Line, within: Duration, counted: OwnedSemaphorePermit) -> Self {
        let deadline = line.is_in_handshake().then(|| deadline(within));
        Self {
            line,
            stage: Stage::Idle,
            within,
            deadline,
            _counted: counted,
        }
    }

    #[cfg(test)]
    pub(super) fn stream(&self) -> &tokio::net::TcpStream {
        self.line.tcp().expect("its handshake has ended")
    }

    /// Ends the connection if what is under way has taken too long.
    fn poll_deadline(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let deadline = self.deadline.as_mut();
        if deadline.is_some_and(|it| it.as_mut().poll(context).is_ready()) {
            let slow = "the handshake or the head of a request came too slowly";
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, slow)));
        }
        Poll::Pending
    }

    fn has_read(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let stage = self.stage.after_reading(bytes);
        if self.stage == Stage::Idle && matches!(stage, Stage::Head { .. }) {
            self.deadline = Some(deadline(self.within));
        }
        if !matches!(stage, Stage::Head { .. }) {
            self.deadline = None;
        }
        self.stage = stage;
    }

    fn has_written(&mut self, bytes: &[u8]) {
        let stage = self.stage.after_writing(bytes);
        if stage != self.stage {
            self.deadline = None;
            self.stage = stage;
        }
    }
}

fn deadline(within: Duration) -> Pin<Box<Sleep>> {
    Box::pin(tokio::time::sleep_until(Instant::now() + within))
}

impl Stage {
    fn after_reading(self, bytes: &[u8]) -> Self {
        let (mut begun, mut matched) = match self {
            Self::Idle if bytes.starts_with(HTTP2) => return Self::Other,
            Self::Idle => (false, 0),
            Self::Head { begun, matched } => (begun, matched),
            Self::Answering | Self::Other => return self,
        };
        for byte in bytes {
            if !begun && matches!(byte, b'\r' | b'\n') {
                continue;
            }
            begun = true;
            // An end of a head may also be two bare line feeds, which hyper reads too.
            matched = match (byte, matched) {
                (b'\r', 0) => 1,
                (b'\n', 0 | 1) => 2,
                (b'\r', 2) => 3,
                (b'\n', 2 | 3) => return Self::Answering,
                (b'\r', _) => 1,
                _ => 0,
            };
        }
        Self::Head { begun, matched }
    }

    fn after_writing(self, bytes: &[u8]) -> Self {
        match self {
            Self::Other => Self::Other,
            Self::Answering if bytes.starts_with(SWITCHED) => Self::Other,
            Self::Answering if bytes.is_empty() || bytes.starts_with(CONTINUE) => Self::Answering,
            _ => Self::Idle,
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.line.is_in_handshake() {
            match this.line.poll_handshake(context) {
                Poll::Ready(done) => {
                    this.deadline = None;
                    done?;
                }
                Poll::Pending => return this.poll_deadline(context),
            }
        }
        let before = buffer.filled().len();
        match Pin::new(&mut this.line).poll_read(context, buffer) {
            Poll::Ready(read) => {
                this.has_read(&buffer.filled()[before..]);
                Poll::Ready(read)
            }
            Poll::Pending => this.poll_deadline(context),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.line).poll_write(context, bytes);
        if let Poll::Ready(Ok(written)) = written {
            this.has_written(&bytes[..written]);
        }
        written
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.line).poll_write_vectored(context, slices);
        if let (Poll::Ready(Ok(1..)), Some(first)) =
            (&written, slices.iter().find(|one| !one.is_empty()))
        {
            this.has_written(first);
        }
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.line.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().line).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().line).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pieces: &[&[u8]]) -> Stage {
        let start = Stage::Idle;
        pieces
            .iter()
            .fold(start, |stage, piece| stage.after_reading(piece))
    }

    #[test]
    fn a_head_ends_with_an_empty_line_wherever_it_is_cut() {
        let head = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";
        for at in 1..head.len() {
            let (one, other) = head.split_at(at);
            assert_eq!(read(&[one, other]), Stage::Answering, "{at}");
            assert!(matches!(read(&[one]), Stage::Head { .. }), "{at}");
        }
        assert_eq!(read(&[b"GET / HTTP/1.1\n\n"]), Stage::Answering);
        // Empty lines before a head end none.
        let late = read(&[b"\r\n\r\n", b"\r\n"]);
        assert!(matches!(late, Stage::Head { begun: false, .. }), "{late:?}");
        assert_eq!(
            late.after_reading(b"GET / HTTP/1.1\r\n\r\n"),
            Stage::Answering
        );
        let unfinished: [&[u8]; 4] = [b"\r\n\r", b"a\r\n \r\n", b"\r\r\r\r", b"a\r\nb\r\nc"];
        for unfinished in unfinished {
            assert!(
                matches!(read(&[b"G", unfinished]), Stage::Head { .. }),
                "{unfinished:?}"
            );
        }
    }

    #[test]
    fn bodies_frames_and_sockets_are_no_heads() {
        let asked = read(&[b"POST / HTTP/1.1\r\nexpect: 100-continue\r\n\r\n"]);
        assert_eq!(asked.after_reading(b"a body"), Stage::Answering);
        let told_to_go_on = asked.after_writing(b"HTTP/1.1 100 Continue\r\n\r\n");
        assert_eq!(told_to_go_on, Stage::Answering);
        assert_eq!(asked.after_writing(b"HTTP/1.1 200 OK\r\n"), Stage::Idle);
        let switched = asked.after_writing(b"HTTP/1.1 101 Switching Protocols\r\n");
        assert_eq!(switched.after_reading(b"\x81\x05hello"), Stage::Other);
        assert_eq!(switched.after_writing(b"\x81\x05hello"), Stage::Other);
        assert_eq!(
            read(&[b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"frame"]),
            Stage::Other
        );
    }
}
