//! Addresses and names: of several addresses a dead one costs little, and a certificate must be that of the name.

use std::net::{IpAddr, SocketAddr};

use domain::handoff::AttemptOutcome;
use store::testing::TEST_TIMEOUT;
use tokio::net::{TcpSocket, TcpStream};

use super::{hostile::attempt, *};
use crate::testing::scripted::{Scripted, Step, Transport, acceptor};

const CREATED: &[u8] = b"HTTP/1.1 201 x\r\ncontent-length: 0\r\n\r\n";

/// Returns a client for which the name `moved.example` has these addresses.
fn resolving(addresses: &[&str]) -> Outbound {
    let mut outbound = outbound();
    let found: Vec<IpAddr> = addresses
        .iter()
        .map(|address| address.parse().unwrap())
        .collect();
    let lookup: Lookup = Box::new(move |_| std::future::ready(Ok(found.clone())).boxed());
    outbound.post.guard = Guard::with_lookup(
        vec!["127.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()],
        PlainHttp::Anywhere,
        Duration::from_secs(2),
        outbound.clock.clone(),
        lookup,
    );
    outbound
}

fn named(server: &Scripted) -> Url {
    let mut url = server.url();
    url.set_host(Some("moved.example")).unwrap();
    url
}

/// An address that answers no SYN, because nobody accepts there and the queue is full.
struct BlackHole {
    _listener: tokio::net::TcpListener,
    _waiting: Vec<TcpStream>,
}

impl BlackHole {
    async fn at(address: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(address).unwrap();
        let listener = socket.listen(1).unwrap();
        let mut waiting = Vec::new();
        let once = Duration::from_millis(300);
        while let Ok(connected) = tokio::time::timeout(once, TcpStream::connect(address)).await {
            waiting.push(connected.unwrap());
        }
        Self {
            _listener: listener,
            _waiting: waiting,
        }
    }
}

#[tokio::test]
async fn a_name_whose_first_addresses_are_dead_is_reached_at_the_next_one() {
    for transport in Transport::ALL {
        let script = match transport {
            Transport::Http2 => {
                let block = crate::testing::scripted::header_block(&[(":status", "201")]);
                vec![Step::Frame(1, 5, block)]
            }
            _ => vec![Step::Say(CREATED.to_vec())],
        };
        let server = Scripted::start(transport, vec![script], false).await;
        let silent = SocketAddr::new("127.0.0.3".parse().unwrap(), server.address.port());
        let _black_hole = BlackHole::at(silent).await;
        for addresses in [
            &["127.0.0.1"][..],
            &["127.0.0.2", "127.0.0.1"],
            &["127.0.0.3", "127.0.0.1"],
            &[
                "127.0.0.2",
                "127.0.0.3",
                "127.0.0.4",
                "127.0.0.3",
                "127.0.0.1",
            ],
            &["::1", "127.0.0.1"],
            &["::1", "::1", "127.0.0.3", "127.0.0.1"],
        ] {
            let heard = attempt(&resolving(addresses), named(&server)).await;
            assert_eq!(
                heard.0,
                AttemptOutcome::Acknowledged,
                "{addresses:?} {transport:?}"
            );
        }
        let heard = attempt(&resolving(&["127.0.0.2", "127.0.0.4"]), named(&server)).await;
        assert_eq!(heard.0, AttemptOutcome::Retry, "nobody is there");
    }
}

#[tokio::test]
async fn an_address_of_version_6_is_connected_to_and_named_in_brackets() {
    // Machines without IPv6 have no such address.
    let Ok(listener) = TcpListener::bind("[::1]:0").await else {
        return;
    };
    let port = listener.local_addr().unwrap().port();
    let serving = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let request = crate::testing::read_request(&mut stream, &mut Vec::new(), 0).await;
        tokio::io::AsyncWriteExt::write_all(&mut stream, CREATED)
            .await
            .unwrap();
        request.unwrap()
    };
    let outbound = resolving(&[]);
    let url = format!("http://[::1]:{port}/orders").parse().unwrap();
    let (request, heard) = tokio::join!(serving, attempt(&outbound, url));
    assert_eq!(heard.0, AttemptOutcome::Acknowledged);
    assert_eq!(request.header("host"), format!("[::1]:{port}"));
}

#[tokio::test]
async fn the_server_is_told_the_name_and_its_certificate_must_have_it() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let outbound = resolving(&["127.0.0.1"]);
    for (host, expected) in [
        ("moved.example", Some(Some("moved.example"))),
        ("localhost", Some(Some("localhost"))),
        ("127.0.0.1", Some(None)),
        ("other.example", None),
        ("sub.moved.example", None),
        ("127.0.0.2", None),
    ] {
        let listener = match host {
            "127.0.0.2" => &TcpListener::bind(("127.0.0.2", port)).await.unwrap(),
            _ => &listener,
        };
        let serving = async {
            let (tcp, _) = listener.accept().await.unwrap();
            let mut tls = acceptor(&[b"http/1.1"]).accept(tcp).await.ok()?;
            let name = tls.get_ref().1.server_name().map(str::to_owned);
            crate::testing::read_request(&mut tls, &mut Vec::new(), 0).await?;
            tokio::io::AsyncWriteExt::write_all(&mut tls, CREATED)
                .await
                .ok()?;
            tokio::io::AsyncWriteExt::flush(&mut tls).await.ok()?;
            Some(name)
        };
        let url = format!("https://{host}:{port}/").parse().unwrap();
        let both = async { tokio::join!(serving, attempt(&outbound, url)) };
        let (name, heard) = tokio::time::timeout(TEST_TIMEOUT, both).await.unwrap();
        let outcome = match expected {
            Some(_) => AttemptOutcome::Acknowledged,
            None => AttemptOutcome::Retry,
        };
        assert_eq!(heard.0, outcome, "{host}");
        assert_eq!(name.as_ref().map(Option::as_deref), expected, "{host}");
    }
}
