//! A crowd of clients in a process of its own: each holds a socket, comes back when it breaks, and tells when events came.

use std::{
    io::{self, BufRead, BufReader},
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    process::{Child, Command, Stdio},
    sync::Arc,
    thread,
    time::Duration,
};

use anyhow::{Context, bail};
use futures_util::StreamExt;
use platform::clock::Clock;
use serde::{Deserialize, Serialize};
use tokio::{
    io::AsyncReadExt,
    net::{TcpSocket, TcpStream},
    sync::{Semaphore, mpsc, oneshot},
    time::{sleep, timeout},
};
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{Message, protocol::WebSocketConfig},
};

/// Read buffer per socket; the default of 128 KiB would be most of this process's memory.
const READ_BUFFER_BYTES: usize = 4096;
const CONCURRENT_OPENS: usize = 128;
/// Source addresses of the connections: one has fewer ports than there may be clients, if some still linger.
const SOURCES: usize = 8;
const AGAIN: Duration = Duration::from_millis(20);
const SOON: Duration = Duration::from_secs(120);

/// A crowd to be, on the command line of its process.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Crowd {
    /// Host and port.
    address: SocketAddr,
    clients: usize,
    /// The table whose channel they open; without it, bare connections that expect messages of `bytes`.
    #[arg(long)]
    code: Option<String>,
    #[arg(long, default_value_t = 0)]
    bytes: usize,
}

/// News of a crowd, one line each. Times are microseconds since 1970.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(crate) enum News {
    /// All sockets are open, for the first time or again.
    Open { at: i64, resumed: usize },
    /// All sockets have received an order.
    Event { first: i64, last: i64, bytes: usize },
}

enum Seen {
    Open { resumed: bool },
    Lost,
    Event { at: i64, bytes: usize },
}

/// Returns the microseconds since 1970, which are the same in all processes of the machine.
pub(crate) fn now_us() -> i64 {
    Clock::system().now().timestamp_micros()
}

impl Crowd {
    /// Runs until standard input ends.
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let (sender, seen) = mpsc::unbounded_channel();
        let opens = Arc::new(Semaphore::new(CONCURRENT_OPENS));
        for number in 0..self.clients {
            let client = Client {
                crowd: self.clone(),
                number,
                sender: sender.clone(),
                opens: opens.clone(),
            };
            tokio::spawn(client.run());
        }
        let (alone, is_alone) = oneshot::channel();
        thread::spawn(move || {
            let _ = io::copy(&mut io::stdin(), &mut io::sink());
            let _ = alone.send(());
        });
        tokio::select! {
            told = tell(seen, self.clients) => told,
            _ = is_alone => Ok(()),
        }
    }
}

/// Prints the news of `clients` clients.
#[expect(clippy::print_stdout, reason = "the parent process reads it")]
async fn tell(mut seen: mpsc::UnboundedReceiver<Seen>, clients: usize) -> anyhow::Result<()> {
    let (mut open, mut resumed) = (0, 0);
    let (mut events, mut first, mut last) = (0, i64::MAX, 0);
    while let Some(one) = seen.recv().await {
        let news = match one {
            Seen::Open { resumed: again } => {
                (open, resumed) = (open + 1, resumed + usize::from(again));
                (open == clients).then(|| News::Open {
                    at: now_us(),
                    resumed: std::mem::take(&mut resumed),
                })
            }
            Seen::Lost => {
                open -= 1;
                None
            }
            Seen::Event { at, bytes } => {
                (events, first, last) = (events + 1, first.min(at), last.max(at));
                let is_last = events == clients;
                let news = News::Event { first, last, bytes };
                if is_last {
                    (events, first, last) = (0, i64::MAX, 0);
                }
                is_last.then_some(news)
            }
        };
        if let Some(news) = news {
            println!("{}", serde_json::to_string(&news)?);
        }
    }
    Ok(())
}

struct Client {
    crowd: Crowd,
    number: usize,
    sender: mpsc::UnboundedSender<Seen>,
    opens: Arc<Semaphore>,
}

/// The client's place in its stream.
#[derive(Default)]
struct Place {
    seq: i64,
    epoch: String,
}

#[derive(Deserialize)]
struct Numbered {
    seq: Option<i64>,
    epoch: Option<String>,
    #[serde(default)]
    resumed: bool,
}

/// Returns an event's number without reading all of it: the clients share their processor with the server.
fn number(frame: &str) -> Option<i64> {
    let (_, rest) = frame.split_once(r#""seq":"#)?;
    let end = rest.find(|next: char| !next.is_ascii_digit())?;
    rest[..end].parse().ok()
}

impl Client {
    async fn run(self) {
        if self.crowd.code.is_none() {
            // Fails when the server has gone.
            let _ = self.read_bare().await;
            return;
        }
        let mut place: Option<Place> = None;
        loop {
            let permit = self.opens.acquire().await;
            let Ok((mut socket, resumed)) = self.open(&mut place).await else {
                drop(permit);
                sleep(AGAIN).await;
                continue;
            };
            drop(permit);
            self.say(Seen::Open { resumed });
            while let Some(Ok(message)) = socket.next().await {
                let Message::Text(text) = message else {
                    continue;
                };
                let at = now_us();
                if let (Some(place), Some(seq)) = (&mut place, number(&text)) {
                    place.seq = seq;
                }
                if text.contains(r#""order.placed""#) {
                    self.say(Seen::Event {
                        at,
                        bytes: text.len(),
                    });
                }
            }
            self.say(Seen::Lost);
        }
    }

    fn say(&self, seen: Seen) {
        let _ = self.sender.send(seen);
    }

    /// Opens the channel at the client's place and reads its first frame; returns true if it resumed.
    async fn open(
        &self,
        place: &mut Option<Place>,
    ) -> anyhow::Result<(WebSocketStream<TcpStream>, bool)> {
        let Crowd { address, code, .. } = &self.crowd;
        let code = code.as_deref().unwrap_or_default();
        let after = place.as_ref().map_or_else(String::new, |place| {
            format!("?after={}&epoch={}", place.seq, place.epoch)
        });
        let url = format!("ws://{address}/ws/sessions/{code}{after}");
        let config = WebSocketConfig::default().read_buffer_size(READ_BUFFER_BYTES);
        let stream = self.connect().await?;
        let (mut socket, _) = client_async_with_config(url, stream, Some(config)).await?;
        let hello = socket
            .next()
            .await
            .context("a channel begins with a frame")??;
        let hello: Numbered = serde_json::from_str(hello.to_text()?)?;
        *place = Some(Place {
            seq: hello.seq.context("a channel's first frame has a number")?,
            epoch: hello.epoch.unwrap_or_default(),
        });
        Ok((socket, hello.resumed))
    }

    async fn connect(&self) -> anyhow::Result<TcpStream> {
        let last = u8::try_from(1 + self.number % SOURCES)?;
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddrV4::new(Ipv4Addr::new(127, 0, 0, last), 0).into())?;
        let stream = socket.connect(self.crowd.address).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    async fn read_bare(&self) -> anyhow::Result<()> {
        let permit = self.opens.acquire().await?;
        let mut stream = self.connect().await?;
        // As the accepting side is one task, the next clients wait until this connection is used.
        drop(permit);
        self.say(Seen::Open { resumed: false });
        let mut read = vec![0; self.crowd.bytes];
        loop {
            stream.read_exact(&mut read).await?;
            self.say(Seen::Event {
                at: now_us(),
                bytes: read.len(),
            });
        }
    }
}

/// A running crowd, seen from the process that started it.
#[derive(Debug)]
pub(crate) struct Crowded {
    child: Child,
    news: mpsc::UnboundedReceiver<String>,
}

impl Crowded {
    /// Starts the clients of a table's channel.
    pub(crate) fn at_table(address: &str, clients: usize, code: &str) -> anyhow::Result<Self> {
        Self::start(address, clients, &["--code", code])
    }

    /// Starts clients with bare connections, which read messages of a fixed length.
    pub(crate) fn bare(address: &str, clients: usize, bytes: usize) -> anyhow::Result<Self> {
        Self::start(address, clients, &["--bytes", &bytes.to_string()])
    }

    fn start(address: &str, clients: usize, kind: &[&str]) -> anyhow::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["crowd", address, &clients.to_string()])
            .args(kind)
            // It ends when this pipe does.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = child.stdout.take().context("stdout is not piped")?;
        let (sender, news) = mpsc::unbounded_channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        Ok(Self { child, news })
    }

    /// Waits until all sockets are open; returns when they were, and how many resumed.
    pub(crate) async fn open(&mut self) -> anyhow::Result<(i64, usize)> {
        match self.next().await? {
            News::Open { at, resumed } => Ok((at, resumed)),
            News::Event { .. } => bail!("an event came before all sockets were open"),
        }
    }

    /// Waits until all sockets have an event; returns when the first and the last received it, and its length.
    pub(crate) async fn event(&mut self) -> anyhow::Result<(i64, i64, usize)> {
        match self.next().await? {
            News::Event { first, last, bytes } => Ok((first, last, bytes)),
            News::Open { .. } => bail!("sockets were lost and came back"),
        }
    }

    async fn next(&mut self) -> anyhow::Result<News> {
        let line = timeout(SOON, self.news.recv()).await;
        let line = line.context("a crowd had no news in time")?;
        Ok(serde_json::from_str(&line.context("a crowd has ended")?)?)
    }
}

impl Drop for Crowded {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_an_event_is_found_in_its_frame() {
        let frame = r#"{"stream":"a","seq":41,"prev":40,"data":{"seq":7}}"#;
        assert_eq!(number(frame), Some(41));
        assert_eq!(number(r#"{"type":"pong"}"#), None);
    }
}
