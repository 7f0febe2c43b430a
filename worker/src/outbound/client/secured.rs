//! TLS stream that hands on what arrived before it broke.
//!
//! rustls decrypts record by record, and tokio-rustls tells of a broken one before it hands on the good ones that came
//! with it: an answer, and an alert right behind it.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::client::TlsStream;

use super::counted::Counted;

pub(super) struct Secured {
    tls: TlsStream<Counted>,
    /// Error that was met before all was handed on.
    broken: Option<io::Error>,
}

impl Secured {
    pub(super) fn new(tls: TlsStream<Counted>) -> Self {
        Self { tls, broken: None }
    }

    pub(super) fn socket(&self) -> &Counted {
        self.tls.get_ref().0
    }
}

impl AsyncRead for Secured {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let error = match self.broken.take() {
            Some(error) => error,
            None => match ready!(Pin::new(&mut self.tls).poll_read(cx, buffer)) {
                Ok(()) => return Poll::Ready(Ok(())),
                Err(error) => error,
            },
        };
        // What was decrypted before is still there.
        let again = Pin::new(&mut self.tls).poll_read(cx, buffer);
        if matches!(again, Poll::Ready(Ok(()))) && buffer.filled().len() > before {
            self.broken = Some(error);
            return Poll::Ready(Ok(()));
        }
        Poll::Ready(Err(error))
    }
}

impl AsyncWrite for Secured {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tls).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tls).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.tls.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tls).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tls).poll_shutdown(cx)
    }
}
