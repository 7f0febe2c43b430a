//! A line to RabbitMQ that can be cut, frozen and mended.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use url::Url;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Line {
    Open,
    /// What stands falls, and nobody is let in.
    Cut,
    /// What stands still stands, and nothing passes.
    Frozen,
}

pub(crate) struct Proxy {
    /// The server's, through this line.
    pub(crate) url: String,
    line: watch::Sender<Line>,
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
        tokio::spawn(accept(listener, server, line.subscribe()));
        Self {
            url: url.into(),
            line,
        }
    }

    pub(crate) fn cut(&self) {
        self.line.send_replace(Line::Cut);
    }

    pub(crate) fn freeze(&self) {
        self.line.send_replace(Line::Frozen);
    }

    pub(crate) fn mend(&self) {
        self.line.send_replace(Line::Open);
    }
}

async fn accept(listener: TcpListener, server: String, line: watch::Receiver<Line>) {
    while let Ok((client, _)) = listener.accept().await {
        if *line.borrow() == Line::Cut {
            continue;
        }
        let server = TcpStream::connect(&server).await.unwrap();
        let (client_reads, client_writes) = client.into_split();
        let (server_reads, server_writes) = server.into_split();
        let mut cut = line.clone();
        let (there, back) = (line.clone(), line.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = pass(client_reads, server_writes, there) => {}
                () = pass(server_reads, client_writes, back) => {}
                _ = cut.wait_for(|line| *line == Line::Cut) => {}
            }
        });
    }
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut line: watch::Receiver<Line>) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        if line.wait_for(|line| *line != Line::Frozen).await.is_err()
            || to.write_all(&buffer[..count]).await.is_err()
        {
            return;
        }
    }
}
