//! HTTP/2 servers that take few streams at one time, or little of a request.

use domain::handoff::AttemptOutcome::{Acknowledged, Unknown};
use store::testing::TEST_TIMEOUT;

use super::{
    hostile::{attempt, hasty},
    *,
};
use crate::testing::scripted::acceptor;

/// A server that takes so many streams at one time; it answers each request once `release` says so.
struct Narrow {
    url: Url,
    connections: Arc<AtomicUsize>,
    requests: Arc<AtomicUsize>,
    _serving: tokio::task::JoinHandle<()>,
}

impl Narrow {
    async fn start(streams: u32, window: u32, release: Arc<tokio::sync::Semaphore>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}/", listener.local_addr().unwrap())
            .parse()
            .unwrap();
        let (connections, requests) =
            (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (connected, requested) = (Arc::clone(&connections), Arc::clone(&requests));
        let serving = tokio::spawn(async move {
            loop {
                let (tcp, _) = listener.accept().await.unwrap();
                connected.fetch_add(1, Ordering::SeqCst);
                let (requested, release) = (Arc::clone(&requested), Arc::clone(&release));
                tokio::spawn(async move {
                    let Ok(tls) = acceptor(&[b"h2"]).accept(tcp).await else {
                        return;
                    };
                    let mut builder = h2::server::Builder::new();
                    builder
                        .max_concurrent_streams(streams)
                        .initial_window_size(window);
                    let Ok(mut connection) = builder.handshake::<_, Bytes>(tls).await else {
                        return;
                    };
                    while let Some(Ok((_, mut respond))) = connection.accept().await {
                        requested.fetch_add(1, Ordering::SeqCst);
                        let release = Arc::clone(&release);
                        tokio::spawn(async move {
                            release.acquire().await.unwrap().forget();
                            let head = http::Response::builder().status(201).body(()).unwrap();
                            respond.send_response(head, true).ok();
                        });
                    }
                });
            }
        });
        Self {
            url,
            connections,
            requests,
            _serving: serving,
        }
    }

    fn counts(&self) -> (usize, usize) {
        (
            self.connections.load(Ordering::SeqCst),
            self.requests.load(Ordering::SeqCst),
        )
    }
}

#[tokio::test]
async fn a_request_for_which_the_server_has_no_stream_was_not_sent() {
    let release = Arc::new(tokio::sync::Semaphore::new(0));
    let narrow = Narrow::start(0, 65_535, release).await;
    let outbound = hasty();
    for connections in 1..=2 {
        let sent = outbound.attempt(&outgoing(narrow.url.clone())).await;
        assert!(is_not_connected(&sent), "{sent:?}");
        assert_eq!(
            narrow.counts(),
            (connections, 0),
            "each on a connection of its own"
        );
    }
}

#[tokio::test]
async fn requests_beyond_the_servers_streams_go_out_on_another_connection() {
    let release = Arc::new(tokio::sync::Semaphore::new(1));
    let narrow = Narrow::start(1, 65_535, Arc::clone(&release)).await;
    let outbound = outbound();
    let ask = || attempt(&outbound, narrow.url.clone());
    // From here on the client knows the server's settings.
    assert_eq!(ask().await.0, Acknowledged);
    let releasing = async {
        while narrow.counts().1 < 4 {
            tokio::task::yield_now().await;
        }
        release.add_permits(3);
    };
    let all = async { tokio::join!(ask(), ask(), ask(), releasing) };
    let (one, two, three, ()) = tokio::time::timeout(TEST_TIMEOUT, all).await.unwrap();
    assert_eq!([one.0, two.0, three.0], [Acknowledged; 3]);
    assert_eq!(narrow.counts(), (3, 4));
}

#[tokio::test]
async fn a_window_that_never_opens_leaves_an_unknown_outcome_unless_there_is_an_answer() {
    let narrow = Narrow::start(9, 0, Arc::new(tokio::sync::Semaphore::new(0))).await;
    let heard = attempt(&hasty(), narrow.url.clone()).await;
    assert_eq!(heard.0, Unknown);
    let narrow = Narrow::start(9, 0, Arc::new(tokio::sync::Semaphore::new(1))).await;
    let heard = attempt(&hasty(), narrow.url.clone()).await;
    assert_eq!(
        heard.0, Acknowledged,
        "the head of the request was answered"
    );
}
