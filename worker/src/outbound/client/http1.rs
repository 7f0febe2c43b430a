//! HTTP/1.1: writes one request, and reads the answer leniently; a connection that said anything odd is not used again.

mod head;

use std::io;

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use rustls::AlertDescription;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf},
    time::timeout,
};

use self::head::{Framing, Head, parse_chunk_size, parse_status_line};
use super::{
    Broken, Request,
    counted::{Counted, Written},
    secured::Secured,
};
use crate::outbound::answer::{AnswerEnd, Heard};

/// Maximum length of all heads before and of an answer, and of one line between chunks.
const MAX_HEAD_BYTES: usize = 256 * 1024;
/// Bytes to make room for before each read.
const READ_BYTES: usize = 8 * 1024;

/// Byte stream, plain or decrypted.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {
    fn socket(&self) -> &Counted;
}

impl Stream for Counted {
    fn socket(&self) -> &Counted {
        self
    }
}

impl Stream for Secured {
    fn socket(&self) -> &Counted {
        self.socket()
    }
}

pub(super) struct Connection {
    stream: Box<dyn Stream>,
    /// Bytes that were read and are not part of an answer yet.
    unread: BytesMut,
    written: Written,
    /// True once something was read.
    has_spoken: bool,
}

impl Connection {
    pub(super) fn new(stream: Box<dyn Stream>, written: Written) -> Self {
        Self {
            stream,
            unread: BytesMut::new(),
            written,
            has_spoken: false,
        }
    }

    /// Returns true unless the connection was closed, or something arrived that nobody asked for.
    pub(super) fn is_quiet(&mut self) -> bool {
        let read = self.stream.read(&mut [0]).now_or_never();
        read.is_none() && self.unread.is_empty() && !self.stream.socket().has_arrivals()
    }

    /// Sends one request; returns true if the connection can take another.
    pub(super) async fn exchange(
        &mut self,
        request: &Request,
        heard: &mut Heard,
    ) -> Result<bool, Broken> {
        let written_before = self.written.get();
        let message = encode(request);
        heard.sent = true;
        let is_answered = self.send_and_read(&message, heard).await;
        let error = match is_answered {
            Ok(reusable) => return Ok(reusable),
            Err(error) => error,
        };
        let nothing_left = self.written.get() == written_before;
        let why = format!("no answer: {error}");
        Err(
            if nothing_left || (!self.has_spoken && is_handshake_refusal(&error)) {
                Broken::NotProcessed(why)
            } else {
                Broken::Lost(why)
            },
        )
    }

    /// Writes and reads at the same time: some servers answer before they have read everything, and then close.
    async fn send_and_read(&mut self, message: &[u8], heard: &mut Heard) -> io::Result<bool> {
        let (reader, mut writer) = tokio::io::split(&mut self.stream);
        let mut reader = Reader {
            stream: reader,
            unread: &mut self.unread,
            has_spoken: &mut self.has_spoken,
            head_bytes: 0,
            is_odd: false,
        };
        let write = async {
            writer.write_all(message).await?;
            writer.flush().await
        };
        let read = reader.answer(heard);
        tokio::pin!(write, read);
        tokio::select! {
            biased;
            wrote = &mut write => match (wrote, read.await) {
                (Ok(()), read) => read,
                // The answer that came in spite of it counts.
                (Err(_), Ok(_)) => Ok(false),
                // The reason for which the server closed.
                (Err(_), Err(alert)) if is_handshake_refusal(&alert) => Err(alert),
                (Err(error), Err(_)) => Err(error),
            },
            // Not everything was written: whatever is to come would be taken for the next request.
            read = &mut read => read.map(|_| false),
        }
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").finish_non_exhaustive()
    }
}

fn encode(request: &Request) -> Vec<u8> {
    let mut message = Vec::with_capacity(1024 + request.body.len());
    let line = format!(
        "POST {} HTTP/1.1\r\nhost: {}\r\n",
        request.path_and_query(),
        request.authority()
    );
    message.extend_from_slice(line.as_bytes());
    for (name, value) in &request.headers {
        message.extend_from_slice(name.as_str().as_bytes());
        message.extend_from_slice(b": ");
        message.extend_from_slice(value.as_bytes());
        message.extend_from_slice(b"\r\n");
    }
    message.extend_from_slice(b"\r\n");
    message.extend_from_slice(&request.body);
    message
}

/// Returns true if the server ended the TLS handshake only now, as TLS 1.3 lets it do: no request was accepted.
pub(super) fn is_handshake_refusal(error: &io::Error) -> bool {
    let inner = error.get_ref();
    let alert = inner.and_then(|inner| inner.downcast_ref::<rustls::Error>());
    matches!(
        alert,
        Some(rustls::Error::AlertReceived(
            AlertDescription::HandshakeFailure
                | AlertDescription::BadCertificate
                | AlertDescription::UnsupportedCertificate
                | AlertDescription::CertificateRevoked
                | AlertDescription::CertificateExpired
                | AlertDescription::CertificateUnknown
                | AlertDescription::UnknownCA
                | AlertDescription::AccessDenied
                | AlertDescription::CertificateRequired
        ))
    )
}

fn is_end(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::UnexpectedEof
}

struct Reader<'a> {
    stream: ReadHalf<&'a mut Box<dyn Stream>>,
    unread: &'a mut BytesMut,
    has_spoken: &'a mut bool,
    head_bytes: usize,
    /// True if another reader could see other lines in these bytes.
    is_odd: bool,
}

impl Reader<'_> {
    /// Reads the answer. An error means that its status was not read; true means that the connection can be used again.
    async fn answer(&mut self, heard: &mut Heard) -> io::Result<bool> {
        let mut head = self.status().await?;
        heard.status = Some(head.status);
        let grace = heard.grace;
        match timeout(grace, self.headers(&mut head, heard)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => {
                heard.details.end = AnswerEnd::CutShort;
                return Ok(false);
            }
            Err(_) => return Ok(false),
        }
        heard.details.oddity = head.oddity();
        let framing = head.framing();
        let read = timeout(grace, self.body(framing, heard)).await;
        heard.details.end = match &read {
            Ok(Ok(true)) => AnswerEnd::Complete,
            Ok(Ok(false)) => AnswerEnd::TooLong,
            Ok(Err(error)) if framing == Framing::UntilClose && is_end(error) => {
                AnswerEnd::Complete
            }
            Ok(Err(_)) => AnswerEnd::CutShort,
            Err(_) => AnswerEnd::Missing,
        };
        let is_complete = matches!(read, Ok(Ok(true)));
        heard.details.has_surplus = is_complete && !self.unread.is_empty();
        let is_certain = is_complete && head.keeps_alive() && !self.is_odd;
        Ok(is_certain && self.unread.is_empty())
    }

    /// Reads up to the status line of the answer; informational answers come before it and are not it.
    async fn status(&mut self) -> io::Result<Head> {
        let mut line = self.line().await?;
        loop {
            while line.is_empty() {
                self.is_odd = true;
                line = self.line().await?;
            }
            let head = parse_status_line(&line)
                .ok_or_else(|| io::Error::other("the response is not HTTP"))?;
            match head.status {
                101 => return Err(io::Error::other("the server changed the protocol")),
                100..=199 => line = self.after_informational().await?,
                _ => return Ok(head),
            }
        }
    }

    /// Skips the headers of an informational answer, and returns the line after them. Some servers leave out the empty
    /// line at their end.
    async fn after_informational(&mut self) -> io::Result<Bytes> {
        loop {
            let line = self.line().await?;
            if line.is_empty() {
                return self.line().await;
            }
            if parse_status_line(&line).is_some() {
                self.is_odd = true;
                return Ok(line);
            }
        }
    }

    async fn headers(&mut self, head: &mut Head, heard: &mut Heard) -> io::Result<()> {
        loop {
            let line = self.line().await?;
            if line.is_empty() {
                return Ok(());
            }
            if let Some((name, value)) = head.line(&line) {
                heard.header(name, value);
            }
        }
    }

    /// Reads the body; returns false if the rest of it was left.
    async fn body(&mut self, framing: Framing, heard: &mut Heard) -> io::Result<bool> {
        match framing {
            Framing::None => Ok(true),
            Framing::Length(length) => self.part(length, heard).await,
            Framing::UntilClose => self.part(u64::MAX, heard).await,
            Framing::Chunked => loop {
                let size = self.chunk_size().await?;
                if size == 0 {
                    while !self.short_line().await?.is_empty() {}
                    return Ok(true);
                }
                if !self.part(size, heard).await? {
                    return Ok(false);
                }
                if !self.short_line().await?.is_empty() {
                    return Err(io::Error::other("a chunk is longer than its size"));
                }
            },
        }
    }

    async fn chunk_size(&mut self) -> io::Result<u64> {
        let line = self.short_line().await?;
        parse_chunk_size(&line).ok_or_else(|| io::Error::other("a chunk has no size"))
    }

    /// Reads `length` bytes of the body; returns false once no more are kept.
    async fn part(&mut self, mut length: u64, heard: &mut Heard) -> io::Result<bool> {
        while length > 0 {
            if self.unread.is_empty() {
                self.fill().await?;
            }
            let available = self.unread.len();
            let wanted = usize::try_from(length).map_or(available, |length| length.min(available));
            let part = self.unread.split_to(wanted);
            length -= wanted as u64;
            if !heard.body(&part) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn short_line(&mut self) -> io::Result<Bytes> {
        self.head_bytes = 0;
        self.line().await
    }

    /// Reads a line without its end; a lone line feed ends it too.
    async fn line(&mut self) -> io::Result<Bytes> {
        let mut searched = 0;
        loop {
            if let Some(at) = self.unread[searched..]
                .iter()
                .position(|byte| *byte == b'\n')
            {
                let mut line = self.unread.split_to(searched + at + 1);
                self.head_bytes += line.len();
                line.truncate(searched + at);
                if line.ends_with(b"\r") {
                    line.truncate(line.len() - 1);
                } else {
                    self.is_odd = true;
                }
                self.is_odd |= line.iter().any(|byte| matches!(byte, b'\r' | b'\0'));
                return Ok(line.freeze());
            }
            searched = self.unread.len();
            if self.head_bytes + searched > MAX_HEAD_BYTES {
                return Err(io::Error::other("the head of the response is too long"));
            }
            self.fill().await?;
        }
    }

    async fn fill(&mut self) -> io::Result<()> {
        self.unread.reserve(READ_BYTES);
        match self.stream.read_buf(self.unread).await? {
            0 => Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the connection was closed",
            )),
            _ => {
                *self.has_spoken = true;
                Ok(())
            }
        }
    }
}
