//! A client's TCP connection, with TLS over it if that is wished; the handshake is part of the first read or write.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::{Accept, TlsAcceptor, server::TlsStream};

pub(super) enum Line {
    Plain(TcpStream),
    Handshake(Box<Accept<TcpStream>>),
    Secured(Box<TlsStream<TcpStream>>),
    /// The handshake has failed.
    Broken,
}

impl Line {
    pub(super) fn new(stream: TcpStream, tls: Option<&TlsAcceptor>) -> Self {
        match tls {
            Some(tls) => Self::Handshake(Box::new(tls.accept(stream))),
            None => Self::Plain(stream),
        }
    }

    pub(super) fn is_in_handshake(&self) -> bool {
        matches!(self, Self::Handshake(_))
    }

    /// Goes on with the handshake, if it has not ended.
    pub(super) fn poll_handshake(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self::Handshake(accept) = self else {
            return Poll::Ready(Ok(()));
        };
        let (after, done) = match ready!(Pin::new(accept).poll(context)) {
            Ok(stream) => (Self::Secured(Box::new(stream)), Ok(())),
            Err(error) => (Self::Broken, Err(error)),
        };
        *self = after;
        Poll::Ready(done)
    }

    #[cfg(test)]
    pub(super) fn tcp(&self) -> Option<&TcpStream> {
        match self {
            Self::Plain(stream) => Some(stream),
            Self::Secured(stream) => Some(stream.get_ref().0),
            Self::Handshake(_) | Self::Broken => None,
        }
    }
}

/// Calls a function of the stream, after the handshake.
macro_rules! after_handshake {
    ($line:expr, $context:expr, |$stream:ident| $call:expr) => {{
        let line = $line.get_mut();
        ready!(line.poll_handshake($context))?;
        match line {
            Line::Plain($stream) => {
                let $stream = Pin::new($stream);
                $call
            }
            Line::Secured($stream) => {
                let $stream = Pin::new($stream.as_mut());
                $call
            }
            Line::Handshake(_) | Line::Broken => {
                Poll::Ready(Err(io::ErrorKind::NotConnected.into()))
            }
        }
    }};
}

impl AsyncRead for Line {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        after_handshake!(self, context, |stream| stream.poll_read(context, buffer))
    }
}

impl AsyncWrite for Line {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        after_handshake!(self, context, |stream| stream.poll_write(context, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        after_handshake!(self, context, |stream| stream
            .poll_write_vectored(context, slices))
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            // As TlsStream says, which a connection in its handshake becomes.
            Self::Handshake(_) | Self::Secured(_) | Self::Broken => true,
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.is_in_handshake() {
            return Poll::Ready(Ok(()));
        }
        after_handshake!(self, context, |stream| stream.poll_flush(context))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // There is nobody to say farewell to before the end of the handshake.
        if matches!(*self, Self::Handshake(_) | Self::Broken) {
            return Poll::Ready(Ok(()));
        }
        after_handshake!(self, context, |stream| stream.poll_shutdown(context))
    }
}

impl std::fmt::Debug for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Plain(_) => "Plain",
            Self::Handshake(_) => "Handshake",
            Self::Secured(_) => "Secured",
            Self::Broken => "Broken",
        })
    }
}
