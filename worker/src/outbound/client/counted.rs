//! Counts the bytes that are written to a socket, below TLS: the count shows that nothing of a request has left.

use std::{
    io::{self, IoSlice},
    mem::MaybeUninit,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
};

use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

/// Number of bytes that were written to a socket.
#[derive(Clone, Debug, Default)]
pub(super) struct Written(Arc<AtomicU64>);

impl Written {
    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }
}

/// Socket that counts the bytes written to it.
pub(super) struct Counted {
    tcp: TcpStream,
    written: Written,
}

impl Counted {
    pub(super) fn new(tcp: TcpStream, written: Written) -> Self {
        Self { tcp, written }
    }

    /// Returns true if something arrived that nobody has read, be it the end. Asks the system, because the runtime may
    /// not have heard of it yet.
    pub(super) fn has_arrivals(&self) -> bool {
        let peeked = SockRef::from(&self.tcp).peek(&mut [MaybeUninit::uninit()]);
        !peeked.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }

    fn count(&self, wrote: io::Result<usize>) -> Poll<io::Result<usize>> {
        if let Ok(bytes) = &wrote {
            self.written.0.fetch_add(*bytes as u64, Ordering::AcqRel);
        }
        Poll::Ready(wrote)
    }
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let wrote = ready!(Pin::new(&mut self.tcp).poll_write(cx, bytes));
        self.count(wrote)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let wrote = ready!(Pin::new(&mut self.tcp).poll_write_vectored(cx, bytes));
        self.count(wrote)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}
