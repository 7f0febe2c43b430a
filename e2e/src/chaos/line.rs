//! A TCP proxy on loopback that can cut, refuse, freeze and delay connections to one or several targets.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::JoinHandle,
};

/// Treatment of the traffic through a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Traffic {
    Open,
    /// Open connections are closed and new ones are refused.
    Refused,
    /// Connections stay open, but their data is held back until the line is opened again.
    Frozen,
    /// Each chunk is delayed by this much.
    Slow(Duration),
}

/// A running proxy; dropping it closes all its connections.
#[derive(Debug)]
pub struct Line {
    /// Address to use instead of the target's.
    pub address: SocketAddr,
    passage: watch::Sender<Traffic>,
    cuts: watch::Sender<u64>,
    accepting: JoinHandle<()>,
}

#[derive(Clone)]
struct Watched {
    passage: watch::Receiver<Traffic>,
    cuts: watch::Receiver<u64>,
}

impl Line {
    /// Starts a proxy. With several targets, each connection goes to the next one that accepts it, like at a gateway.
    ///
    /// # Panics
    /// If loopback has no free port.
    pub async fn to(ends: Vec<SocketAddr>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("loopback has a free port");
        let address = listener.local_addr().expect("it is bound");
        let (passage, cuts) = (watch::Sender::new(Traffic::Open), watch::Sender::new(0));
        let watched = Watched {
            passage: passage.subscribe(),
            cuts: cuts.subscribe(),
        };
        let accepting = tokio::spawn(accept(listener, ends.into(), watched));
        Self {
            address,
            passage,
            cuts,
            accepting,
        }
    }

    pub fn set(&self, passage: Traffic) {
        self.passage.send_replace(passage);
        if passage == Traffic::Refused {
            self.cut();
        }
    }

    /// Closes all open connections; new ones are accepted.
    pub fn cut(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cut();
    }
}

async fn accept(listener: TcpListener, ends: Arc<[SocketAddr]>, watched: Watched) {
    let next = Arc::new(AtomicUsize::new(0));
    loop {
        let Ok((client, _)) = listener.accept().await else {
            // Out of file descriptors for the moment.
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        if *watched.passage.borrow() == Traffic::Refused {
            continue;
        }
        tokio::spawn(carry(
            client,
            Arc::clone(&ends),
            Arc::clone(&next),
            watched.clone(),
        ));
    }
}

async fn carry(
    client: TcpStream,
    ends: Arc<[SocketAddr]>,
    next: Arc<AtomicUsize>,
    mut watched: Watched,
) {
    watched.cuts.mark_unchanged();
    let mut cut = watched.cuts.clone();
    let both_ways = async {
        let Some(end) = connect_first(&ends, next.fetch_add(1, Ordering::Relaxed)).await else {
            return;
        };
        // Sends small chunks at once, so that the proxy adds no delay.
        let _ = (client.set_nodelay(true), end.set_nodelay(true));
        let (client_reads, client_writes) = client.into_split();
        let (end_reads, end_writes) = end.into_split();
        tokio::select! {
            () = pass(client_reads, end_writes, watched.passage.clone()) => {}
            () = pass(end_reads, client_writes, watched.passage) => {}
        }
    };
    tokio::select! {
        () = both_ways => {}
        _ = cut.changed() => {}
    }
}

async fn connect_first(ends: &[SocketAddr], first: usize) -> Option<TcpStream> {
    for n in 0..ends.len() {
        if let Ok(end) = TcpStream::connect(ends[(first + n) % ends.len()]).await {
            return Some(end);
        }
    }
    None
}

async fn pass(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut passage: watch::Receiver<Traffic>,
) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        let thawed = passage.wait_for(|now| *now != Traffic::Frozen).await;
        let Ok(now) = thawed.map(|now| *now) else {
            return;
        };
        if let Traffic::Slow(delay) = now {
            tokio::time::sleep(delay).await;
        }
        if to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Starts a server that echoes everything twice.
    async fn start_echo() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut heard, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let mut word = [0; 4];
                    while heard.read_exact(&mut word).await.is_ok() {
                        heard.write_all(&word).await.unwrap();
                    }
                });
            }
        });
        address
    }

    async fn says(stream: &mut TcpStream) -> bool {
        let mut back = [0; 4];
        stream.write_all(b"word").await.is_ok()
            && stream.read_exact(&mut back).await.is_ok()
            && &back == b"word"
    }

    #[tokio::test]
    async fn a_line_carries_until_it_is_cut_and_lets_in_again() {
        let line = Line::to(vec![start_echo().await]).await;
        let mut stands = TcpStream::connect(line.address).await.unwrap();
        assert!(says(&mut stands).await);
        line.set(Traffic::Refused);
        assert!(!says(&mut stands).await);
        let mut refused = TcpStream::connect(line.address).await.unwrap();
        assert!(!says(&mut refused).await);
        line.set(Traffic::Open);
        let mut new = TcpStream::connect(line.address).await.unwrap();
        assert!(says(&mut new).await);
        line.cut();
        assert!(!says(&mut new).await);
    }

    #[tokio::test]
    async fn what_is_said_into_a_frozen_line_arrives_when_it_thaws() {
        let line = Line::to(vec![start_echo().await]).await;
        let mut stream = TcpStream::connect(line.address).await.unwrap();
        assert!(says(&mut stream).await);
        line.set(Traffic::Frozen);
        let frozen = tokio::time::timeout(Duration::from_millis(50), says(&mut stream)).await;
        assert!(frozen.is_err());
        line.set(Traffic::Open);
        let mut back = [0; 4];
        stream.read_exact(&mut back).await.unwrap();
        assert_eq!(&back, b"word");
    }

    #[tokio::test]
    async fn a_line_with_several_ends_goes_round_those_that_answer() {
        let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let nobody = gone.local_addr().unwrap();
        drop(gone);
        let line = Line::to(vec![nobody, start_echo().await]).await;
        for _ in 0..4 {
            let mut stream = TcpStream::connect(line.address).await.unwrap();
            assert!(says(&mut stream).await);
        }
    }
}
