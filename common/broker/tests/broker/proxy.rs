//! A TCP proxy to RabbitMQ that can be cut, frozen and mended, and that can inject frames from the server.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{broadcast, watch};
use url::Url;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Line {
    Open,
    /// Open connections are closed, and new ones are refused.
    Cut,
    /// Open connections stay open, but nothing passes.
    Frozen,
}

pub(crate) struct Proxy {
    /// URL of the server through this proxy.
    pub(crate) url: String,
    line: watch::Sender<Line>,
    said: broadcast::Sender<Vec<u8>>,
}

impl Proxy {
    pub(crate) async fn before(url: &str) -> Self {
        let mut url: Url = url.parse().unwrap();
        let server = format!("{}:{}", url.host_str().unwrap(), url.port().unwrap_or(5672));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        url.set_host(Some("127.0.0.1")).unwrap();
        url.set_port(Some(listener.local_addr().unwrap().port()))
            .unwrap();
        let line = watch::Sender::new(Line::Open);
        let said = broadcast::Sender::new(8);
        tokio::spawn(accept(listener, server, line.subscribe(), said.clone()));
        Self {
            url: url.into(),
            line,
            said,
        }
    }

    pub(crate) fn cut(&self) {
        self.line.send_replace(Line::Cut);
    }

    pub(crate) fn freeze(&self) {
        self.line.send_replace(Line::Frozen);
    }

    /// Injects RabbitMQ's AMQP 0-9-1 extension `connection.blocked`; only while the line is quiet.
    pub(crate) fn say_blocked(&self, reason: &str) {
        let mut arguments = vec![u8::try_from(reason.len()).unwrap()];
        arguments.extend_from_slice(reason.as_bytes());
        self.say(60, &arguments);
    }

    pub(crate) fn say_unblocked(&self) {
        self.say(61, &[]);
    }

    /// Injects a method of the class `connection` as a frame on channel 0.
    fn say(&self, method: u16, arguments: &[u8]) {
        let mut frame = vec![1, 0, 0];
        frame.extend_from_slice(&u32::try_from(4 + arguments.len()).unwrap().to_be_bytes());
        frame.extend_from_slice(&10_u16.to_be_bytes());
        frame.extend_from_slice(&method.to_be_bytes());
        frame.extend_from_slice(arguments);
        frame.push(0xCE);
        self.said.send(frame).unwrap();
    }

    pub(crate) fn mend(&self) {
        self.line.send_replace(Line::Open);
    }
}

async fn accept(
    listener: TcpListener,
    server: String,
    line: watch::Receiver<Line>,
    said: broadcast::Sender<Vec<u8>>,
) {
    while let Ok((client, _)) = listener.accept().await {
        if *line.borrow() == Line::Cut {
            continue;
        }
        let server = TcpStream::connect(&server).await.unwrap();
        let (client_reads, client_writes) = client.into_split();
        let (server_reads, server_writes) = server.into_split();
        let mut cut = line.clone();
        let (there, back) = (line.clone(), line.clone());
        let (nothing, said) = (broadcast::Sender::new(1), said.subscribe());
        tokio::spawn(async move {
            tokio::select! {
                () = pass(client_reads, server_writes, there, nothing.subscribe()) => {}
                () = pass(server_reads, client_writes, back, said) => {}
                _ = cut.wait_for(|line| *line == Line::Cut) => {}
            }
        });
    }
}

async fn pass(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut line: watch::Receiver<Line>,
    mut said: broadcast::Receiver<Vec<u8>>,
) {
    let mut buffer = [0; 16 * 1024];
    loop {
        let passed = tokio::select! {
            Ok(words) = said.recv() => to.write_all(&words).await,
            count = from.read(&mut buffer) => {
                let Ok(count @ 1..) = count else { return };
                if line.wait_for(|line| *line != Line::Frozen).await.is_err() {
                    return;
                }
                to.write_all(&buffer[..count]).await
            }
        };
        if passed.is_err() {
            return;
        }
    }
}
