//! Attempts against a real socket on loopback: every way in which an integrator can respond or fail to.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;
use domain::{
    handoff::RetryAfter,
    integrator::OutboundAuth,
    signature::{Signed, SigningSecret, verify},
};
use futures_util::FutureExt;
use http::HeaderMap;
use store::testing::noon;
use tokio::net::TcpListener;
use url::Url;

use super::{guard::Lookup, *};
use crate::testing::{Integrator, Reply, scripted::trusting};

mod addresses;
mod connections;
mod details;
mod hostile;
mod hostile_http2;
mod narrow_http2;
mod proxied;
mod says;
mod table;

fn outbound_with(change: impl FnOnce(&mut OutboundSettings)) -> Outbound {
    let mut settings = OutboundSettings {
        attempt_timeout: Duration::from_secs(10),
        connect_timeout: Duration::from_secs(2),
        body_grace: Duration::from_secs(1),
        response_limit_bytes: 65_536,
        allow_networks: vec!["127.0.0.0/8".parse().unwrap()],
        allow_http: true,
        allow_http_on_loopback: false,
        own_address: None,
        proxy: None,
    };
    change(&mut settings);
    let (clock, chance) = (Clock::manual(noon()), Chance::system());
    Outbound::with_tls(
        &settings,
        trusting(),
        clock,
        chance,
        CancellationToken::new(),
    )
    .unwrap()
}

fn outbound() -> Outbound {
    outbound_with(|_| {})
}

fn impatient() -> Outbound {
    outbound_with(|settings| settings.attempt_timeout = Duration::from_millis(300))
}

fn secret(byte: u8) -> SigningSecret {
    SigningSecret::new(vec![byte; 32]).unwrap()
}

fn outgoing(url: Url) -> Outgoing {
    let chance = Chance::system();
    Outgoing {
        handoff: chance.id(noon()),
        integrator: chance.id(noon()),
        url,
        auth: OutboundAuth::None,
        token_at: None,
        signing: vec![secret(1)],
        body: Bytes::from_static(br#"{"event":"order.placed"}"#),
        n: 1,
        max_attempts: 5,
        trace: None,
        leased_until: noon() + Duration::from_secs(25),
    }
}

fn heard(sent: &AttemptResult) -> &SendResult {
    match sent {
        AttemptResult::SendResult { heard, .. } => heard,
        AttemptResult::NotSent { why } => panic!("not sent: {why}"),
    }
}

fn answer(status: u16) -> SendResult {
    SendResult::Answer {
        status,
        retry_after: None,
    }
}

fn is_lost(sent: &AttemptResult) -> bool {
    matches!(heard(sent), SendResult::Lost { .. })
}

fn is_not_connected(sent: &AttemptResult) -> bool {
    matches!(heard(sent), SendResult::NotConnected { .. })
}

#[tokio::test]
async fn each_status_is_heard_as_it_is() {
    for status in [
        200, 201, 204, 302, 400, 401, 404, 408, 410, 422, 425, 429, 500, 503,
    ] {
        let integrator = Integrator::start([Reply::with(status, "", "")]).await;
        let sent = outbound().attempt(&outgoing(integrator.url())).await;
        assert_eq!(heard(&sent), &answer(status));
        assert_eq!(integrator.received().len(), 1);
    }
}

#[tokio::test]
async fn a_retry_after_and_the_answer_are_told() {
    let reply = Reply::with(503, "Retry-After: 17\r\n", r#"{"why":"full"}"#);
    let integrator = Integrator::start([reply]).await;
    let sent = outbound().attempt(&outgoing(integrator.url())).await;
    let expected = AttemptResult::SendResult {
        heard: SendResult::Answer {
            status: 503,
            retry_after: Some(RetryAfter::After(Duration::from_secs(17))),
        },
        answer: Some(br#"{"why":"full"}"#.to_vec()),
        used_cached_token: false,
    };
    assert_eq!(sent, expected);
}

#[tokio::test]
async fn the_request_is_signed_by_both_secrets_and_says_which_attempt_it_is() {
    let integrator = Integrator::start([Reply::status(200)]).await;
    let outgoing = Outgoing {
        signing: vec![secret(1), secret(2)],
        n: 2,
        ..outgoing(integrator.url())
    };
    outbound().attempt(&outgoing).await;
    let received = integrator.received().remove(0);
    assert_eq!(received.line, "POST /orders HTTP/1.1");
    assert_eq!(received.body, outgoing.body);
    let id = outgoing.handoff.to_string();
    assert_eq!(received.header("webhook-id"), id);
    assert_eq!(received.header("idempotency-key"), id);
    assert_eq!(received.header("expediter-attempt"), "2/5");
    assert_eq!(received.header("content-type"), "application/json");
    assert!(received.header("user-agent").starts_with("Expediter/"));
    let trace = format!("00-{}-", outgoing.handoff.uuid().simple());
    assert!(received.header("traceparent").starts_with(&trace));
    assert_eq!(received.header("traceparent").len(), 55);
    for known in [secret(1), secret(2)] {
        let signed = Signed {
            id: &id,
            timestamp: received.header("webhook-timestamp"),
            signature: received.header("webhook-signature"),
        };
        assert_eq!(
            verify(&[known], signed, &received.body, noon(), Duration::ZERO),
            Ok(())
        );
    }
}

#[tokio::test]
async fn a_second_attempt_has_the_same_id_and_body_and_its_own_time() {
    let integrator = Integrator::start([Reply::status(500)]).await;
    let outbound = outbound();
    let first = outgoing(integrator.url());
    outbound.attempt(&first).await;
    outbound.clock.advance(Duration::from_secs(2));
    let second = Outgoing { n: 2, ..first };
    outbound.attempt(&second).await;
    let received = integrator.received();
    assert_eq!(received[0].body, received[1].body);
    assert_eq!(
        received[0].header("webhook-id"),
        received[1].header("webhook-id")
    );
    assert_ne!(
        received[0].header("webhook-timestamp"),
        received[1].header("webhook-timestamp")
    );
}

#[tokio::test]
async fn connections_are_kept_for_the_next_attempt() {
    let integrator = Integrator::start([Reply::status(200)]).await;
    let outbound = outbound();
    for _ in 0..3 {
        outbound.attempt(&outgoing(integrator.url())).await;
    }
    let connections: Vec<usize> = integrator
        .received()
        .iter()
        .map(|received| received.connection)
        .collect();
    assert_eq!(connections, [0, 0, 0]);
}

#[tokio::test]
async fn an_integrator_that_hangs_leaves_an_unknown_outcome() {
    let integrator = Integrator::start([Reply::hang()]).await;
    let sent = impatient().attempt(&outgoing(integrator.url())).await;
    assert!(is_lost(&sent), "{sent:?}");
    assert_eq!(integrator.received().len(), 1);
}

#[tokio::test]
async fn an_answer_that_is_no_http_leaves_an_unknown_outcome() {
    let integrator = Integrator::start([Reply::SayAndClose("SSH-2.0-x\r\n\r\n".to_owned())]).await;
    let sent = outbound().attempt(&outgoing(integrator.url())).await;
    assert!(is_lost(&sent), "{sent:?}");
}

#[tokio::test]
async fn of_an_endless_answer_the_status_counts_and_the_rest_is_not_read() {
    for framing in [
        "content-length: 10000000000\r\n\r\n",
        "connection: close\r\n\r\n",
        "transfer-encoding: chunked\r\n\r\nfffffffff\r\n",
    ] {
        let head = format!("HTTP/1.1 201 Created\r\n{framing}");
        let integrator = Integrator::start([Reply::SayAndPour(head)]).await;
        let sent = outbound().attempt(&outgoing(integrator.url())).await;
        let AttemptResult::SendResult {
            heard,
            answer: Some(kept),
            ..
        } = sent
        else {
            panic!("{sent:?}");
        };
        assert_eq!(heard, self::answer(201));
        assert_eq!(kept.len(), 64 * 1024);
    }
}

#[tokio::test]
async fn an_endless_answer_takes_no_more_memory_than_its_limit() {
    let limited = outbound_with(|settings| settings.response_limit_bytes = 1000);
    let head = "HTTP/1.1 200 OK\r\n\r\n".to_owned();
    let integrator = Integrator::start([Reply::SayAndPour(head)]).await;
    let url = integrator.url();
    let request = Request::new(&url, HeaderMap::new(), Bytes::new());
    let sent = limited
        .post
        .send(&request, limited.attempt_timeout, limited.body_grace);
    let answer = sent.await;
    let Ok(answer) = answer else {
        panic!("there is a response");
    };
    assert_eq!((answer.status, answer.body.len()), (200, 1000));
    assert!(answer.body.capacity() <= 2000, "{}", answer.body.capacity());
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = Integrator::start([Reply::status(200)]).await;
    let location = format!("location: {}\r\n", elsewhere.url());
    let integrator = Integrator::start([Reply::with(307, &location, "")]).await;
    let sent = outbound().attempt(&outgoing(integrator.url())).await;
    assert_eq!(heard(&sent), &answer(307));
    assert!(elsewhere.received().is_empty());
}

#[tokio::test]
async fn a_refused_connection_and_a_failed_handshake_reach_nobody() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let closed = listener.local_addr().unwrap();
    drop(listener);
    let url = format!("http://{closed}/").parse().unwrap();
    let sent = outbound().attempt(&outgoing(url)).await;
    assert!(is_not_connected(&sent), "{sent:?}");

    let plain = Integrator::start([Reply::SayAndClose("no TLS here\r\n\r\n".to_owned())]).await;
    let url = format!("https://{}/", plain.address).parse().unwrap();
    let speaking = outbound_with(|settings| settings.connect_timeout = Duration::from_millis(300));
    let outgoing = outgoing(url);
    let attempt = speaking.attempt(&outgoing);
    let sent = tokio::time::timeout(Duration::from_secs(10), attempt)
        .await
        .unwrap();
    assert!(is_not_connected(&sent), "{sent:?}");
}

#[tokio::test]
async fn a_forbidden_address_is_never_connected_to() {
    let integrator = Integrator::start([Reply::status(200)]).await;
    let strict = outbound_with(|settings| settings.allow_networks.clear());
    let sent = strict.attempt(&outgoing(integrator.url())).await;
    assert!(is_not_connected(&sent), "{sent:?}");
    let no_http = outbound_with(|settings| settings.allow_http = false);
    let sent = no_http.attempt(&outgoing(integrator.url())).await;
    assert!(is_not_connected(&sent), "{sent:?}");
    assert!(integrator.received().is_empty());
}

#[tokio::test]
async fn a_name_is_connected_to_at_its_vetted_address() {
    let integrator = Integrator::start([Reply::status(200)]).await;
    let url = format!("http://localhost:{}/orders", integrator.address.port());
    let sent = outbound().attempt(&outgoing(url.parse().unwrap())).await;
    assert_eq!(heard(&sent), &answer(200));
    let host = integrator.received()[0].header("host").to_owned();
    assert_eq!(host, format!("localhost:{}", integrator.address.port()));
}

#[tokio::test]
async fn a_name_that_has_moved_to_a_forbidden_address_by_the_second_attempt_is_refused_there() {
    let mut outbound =
        outbound_with(|settings| settings.allow_networks = vec!["127.0.0.1/32".parse().unwrap()]);
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = asked.clone();
    // The allowed address stands for a public one, the other loopback address for a private one.
    let lookup: Lookup = Box::new(move |_| {
        let is_first = counted.fetch_add(1, Ordering::Relaxed) == 0;
        let address = if is_first { "127.0.0.1" } else { "127.0.0.2" };
        std::future::ready(Ok(vec![address.parse().unwrap()])).boxed()
    });
    let guard = Guard::with_lookup(
        vec!["127.0.0.1/32".parse().unwrap()],
        PlainHttp::Anywhere,
        Duration::from_secs(2),
        outbound.clock.clone(),
        lookup,
    );
    outbound.post.guard = guard;
    let integrator = Integrator::start([Reply::status(503), Reply::status(200)]).await;
    let url: Url = format!("http://rebind.example:{}/", integrator.address.port())
        .parse()
        .unwrap();
    let first = outgoing(url);
    assert_eq!(heard(&outbound.attempt(&first).await), &answer(503));
    outbound.clock.advance(Duration::from_secs(8));
    let second = outbound.attempt(&Outgoing { n: 2, ..first }).await;
    let SendResult::NotConnected { error } = heard(&second) else {
        panic!("{second:?}");
    };
    assert!(error.contains("is not allowed"), "{error}");
    assert!(
        !error.contains("127.0.0.2"),
        "the error is shown to people: {error}"
    );
    assert_eq!(asked.load(Ordering::Relaxed), 2);
    assert_eq!(integrator.received().len(), 1);
}

#[tokio::test]
async fn nothing_is_sent_under_a_lease_that_could_end_before_the_answer() {
    let integrator = Integrator::start([Reply::status(200)]).await;
    let late = Outgoing {
        leased_until: noon() + Duration::from_millis(9_999),
        ..outgoing(integrator.url())
    };
    let sent = outbound().attempt(&late).await;
    assert!(matches!(sent, AttemptResult::NotSent { .. }), "{sent:?}");
    assert!(integrator.received().is_empty());
}

#[test]
fn trouble_with_the_resolver_is_ours() {
    let away = VetError::ResolverUnavailable {
        name: "a.example".to_owned(),
        error: "silent".to_owned(),
    };
    assert!(matches!(
        SendError::from(away).sent(),
        AttemptResult::NotSent { .. }
    ));
    let unknown = VetError::HostNotFound {
        name: "a.example".to_owned(),
        error: "unknown".to_owned(),
    };
    assert!(is_not_connected(&SendError::from(unknown).sent()));
}
