//! Attempts through an egress proxy: what it is asked for, and which of its failures are the integrator's.

use std::net::{IpAddr, SocketAddr};

use parking_lot::Mutex;
use runtime::config::ServiceUrl;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::*;

/// Deed of a proxy that was asked for a tunnel.
#[derive(Clone, Copy)]
enum Deed {
    /// Opens a tunnel to this address, whatever it was asked for.
    Open(SocketAddr),
    Say(&'static str),
    Hang,
}

/// An egress proxy on loopback.
struct Egress {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Egress {
    /// Starts a proxy; `deed` is told the address that a client asks for.
    async fn start(deed: impl Fn(&str) -> Deed + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let target = target(&mut client).await;
                let deed = deed(&target);
                kept.lock().push(target);
                tokio::spawn(serve(client, deed));
            }
        });
        Self { address, asked }
    }

    fn proxy(&self) -> ServiceUrl {
        proxy_at(self.address)
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().clone()
    }
}

async fn target(client: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap();
    let target = head.strip_prefix("CONNECT ").unwrap().split(' ').next();
    target.unwrap().to_owned()
}

async fn serve(mut client: TcpStream, deed: Deed) {
    match deed {
        Deed::Open(integrator) => {
            let mut integrator = TcpStream::connect(integrator).await.unwrap();
            client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
            let _ = tokio::io::copy_bidirectional(&mut client, &mut integrator).await;
        }
        Deed::Say(answer) => client.write_all(answer.as_bytes()).await.unwrap(),
        Deed::Hang => {
            let _ = client.read_u8().await;
        }
    }
}

fn proxy_at(address: SocketAddr) -> ServiceUrl {
    format!("http://{address}").try_into().unwrap()
}

/// Returns a client behind a proxy, which may send to addresses for documentation (RFC 5737): nobody is there.
fn behind(proxy: ServiceUrl) -> Outbound {
    outbound_with(|settings| {
        settings.allow_networks = vec![
            "192.0.2.0/24".parse().unwrap(),
            "127.0.0.0/8".parse().unwrap(),
        ];
        settings.proxy = Some(proxy);
    })
}

/// Returns a client behind a proxy for which every name has these addresses.
fn behind_with(proxy: ServiceUrl, addresses: &[&str]) -> Outbound {
    let mut outbound = behind(proxy);
    let found: Vec<IpAddr> = addresses
        .iter()
        .map(|address| address.parse().unwrap())
        .collect();
    let lookup: Lookup = Box::new(move |_| std::future::ready(Ok(found.clone())).boxed());
    outbound.post.guard = Guard::with_lookup(
        vec![
            "192.0.2.0/24".parse().unwrap(),
            "127.0.0.0/8".parse().unwrap(),
        ],
        PlainHttp::Anywhere,
        Duration::from_secs(2),
        outbound.clock.clone(),
        lookup,
    );
    outbound
}

fn far() -> Outgoing {
    outgoing("http://192.0.2.7:8080/orders".parse().unwrap())
}

#[tokio::test]
async fn an_attempt_goes_through_the_tunnel_of_the_proxy() {
    let integrator = Integrator::start([Reply::status(201)]).await;
    let address = integrator.address;
    let egress = Egress::start(move |_| Deed::Open(address)).await;
    let sent = behind(egress.proxy()).attempt(&far()).await;
    assert_eq!(heard(&sent), &answer(201));
    assert_eq!(egress.asked(), ["192.0.2.7:8080"]);
    let received = integrator.received().remove(0);
    assert_eq!(received.header("host"), "192.0.2.7:8080");
}

#[tokio::test]
async fn trouble_with_the_proxy_is_ours_and_what_it_says_of_the_integrator_is_not() {
    for (said, is_ours) in [
        ("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", true),
        ("SSH-2.0-OpenSSH\r\n\r\n", true),
        ("", true),
        ("HTTP/1.1 403 Forbidden\r\n\r\n", false),
        ("HTTP/1.1 504 Gateway Timeout\r\n\r\n", false),
    ] {
        let egress = Egress::start(move |_| Deed::Say(said)).await;
        let sent = behind(egress.proxy()).attempt(&far()).await;
        let not_sent = matches!(sent, AttemptResult::NotSent { .. });
        assert_eq!(not_sent, is_ours, "{said:?}: {sent:?}");
        assert!(is_ours || is_not_connected(&sent), "{said:?}: {sent:?}");
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let down = listener.local_addr().unwrap();
    drop(listener);
    let sent = behind(proxy_at(down)).attempt(&far()).await;
    assert!(matches!(sent, AttemptResult::NotSent { .. }), "{sent:?}");
}

#[tokio::test]
async fn an_address_that_hangs_behind_the_proxy_does_not_hide_the_next_one() {
    let integrator = Integrator::start([Reply::status(201)]).await;
    let address = integrator.address;
    let egress = Egress::start(move |target| match target {
        "192.0.2.7:8080" => Deed::Hang,
        _ => Deed::Open(address),
    })
    .await;
    let outbound = behind_with(egress.proxy(), &["192.0.2.7", "192.0.2.8"]);
    let url = "http://moved.example:8080/orders".parse().unwrap();
    let sent = outbound.attempt(&outgoing(url)).await;
    assert_eq!(heard(&sent), &answer(201));
    assert_eq!(egress.asked(), ["192.0.2.7:8080", "192.0.2.8:8080"]);
}

#[tokio::test]
async fn a_loopback_address_is_reached_directly_and_the_proxy_is_never_asked_for_it() {
    let integrator = Integrator::start([Reply::status(201), Reply::status(201)]).await;
    let egress = Egress::start(|_| Deed::Say("HTTP/1.1 403 Forbidden\r\n\r\n")).await;
    let port = integrator.address.port();
    let url: Url = format!("http://moved.example:{port}/orders")
        .parse()
        .unwrap();
    for (addresses, asked) in [
        (&["127.0.0.1"][..], vec![]),
        (
            &["192.0.2.7", "127.0.0.1"][..],
            vec![format!("192.0.2.7:{port}")],
        ),
    ] {
        let outbound = behind_with(egress.proxy(), addresses);
        let sent = outbound.attempt(&outgoing(url.clone())).await;
        assert_eq!(heard(&sent), &answer(201), "{addresses:?}");
        assert_eq!(egress.asked(), asked, "{addresses:?}");
    }
}

#[test]
fn a_proxy_that_cannot_be_read_refuses_the_start_instead_of_being_gone_around() {
    for unreadable in ["egress://egress.example", "mailto:egress@egress.example"] {
        let mut settings = OutboundSettings::from(&config::Settings::with(&[]).unwrap().worker);
        settings.proxy = Some(unreadable.to_owned().try_into().unwrap());
        let (clock, chance) = (Clock::manual(noon()), Chance::system());
        let cut = CancellationToken::new();
        let refused = Outbound::with_tls(&settings, trusting(), clock, chance, cut);
        let error = refused.unwrap_err();
        assert!(matches!(error, ClientError::Proxy), "{unreadable}: {error}");
    }
}

#[test]
fn the_proxy_of_the_settings_is_the_one_that_is_used() {
    let proxy = "http://me:hunter2@egress.example:3128";
    let settings = config::Settings::with(&[("worker.proxy_url", proxy)]).unwrap();
    let outbound = OutboundSettings::from(&settings.worker);
    let used = outbound.proxy.as_ref().map(ServiceUrl::expose);
    assert_eq!(used, Some(proxy));
    assert!(!format!("{outbound:?}").contains("hunter2"));
}
