//! Signing in to integrators, against a real socket on loopback.

use domain::{handoff::SendResult, integrator::ClientAuth};
use futures_util::{FutureExt, future::join_all};
use platform::chance::Chance;
use store::testing::noon;
use tokio_util::sync::CancellationToken;

use crate::{
    outbound::{
        AttemptResult, Outbound, OutboundSettings, Outgoing,
        guard::{Guard, PlainHttp},
    },
    testing::{Integrator, Received, Reply},
};

use super::*;

struct Scene {
    outbound: Outbound,
    clock: Clock,
    orders: Integrator,
    tokens: Integrator,
    outgoing: Outgoing,
}

impl Scene {
    async fn new(
        orders: impl IntoIterator<Item = Reply>,
        tokens: impl IntoIterator<Item = Reply>,
    ) -> Self {
        let (orders, tokens) = (
            Integrator::start(orders).await,
            Integrator::start(tokens).await,
        );
        let (clock, chance) = (Clock::manual(noon()), Chance::system());
        let settings = OutboundSettings {
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
        let outgoing = Outgoing {
            handoff: chance.id(noon()),
            integrator: chance.id(noon()),
            url: orders.url(),
            auth: OutboundAuth::Oauth2 {
                token_url: tokens.url(),
                client_id: "us".to_owned(),
                client_secret: "p:w".to_owned(),
                scope: Some("orders".to_owned()),
                client_auth: Default::default(),
            },
            token_at: None,
            signing: vec![],
            body: "{}".into(),
            n: 1,
            max_attempts: 5,
            trace: None,
            leased_until: noon() + Duration::from_secs(1000),
        };
        Self {
            outbound: Outbound::new(&settings, clock.clone(), chance, CancellationToken::new())
                .unwrap(),
            clock,
            orders,
            tokens,
            outgoing,
        }
    }

    async fn attempt(&self) -> AttemptResult {
        self.outbound.attempt(&self.outgoing).await
    }

    async fn sent_with(mut self, auth: OutboundAuth) -> Received {
        self.outgoing.auth = auth;
        self.attempt().await;
        self.orders.received().remove(0)
    }
}

fn token(text: &str) -> Reply {
    let body = format!(r#"{{"access_token":"{text}","expires_in":300}}"#);
    Reply::with(200, "", &body)
}

fn status_and_cached(sent: &AttemptResult) -> (u16, bool) {
    match sent {
        AttemptResult::SendResult {
            heard: SendResult::Answer { status, .. },
            used_cached_token,
            ..
        } => (*status, *used_cached_token),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn fixed_credentials_go_into_their_header() {
    let scene = || Scene::new([Reply::status(200)], [Reply::status(500)]);
    let basic = OutboundAuth::Basic {
        username: "Aladdin".to_owned(),
        password: "open sesame".to_owned(),
    };
    let received = scene().await.sent_with(basic).await;
    assert_eq!(
        received.header("authorization"),
        "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="
    );
    let bearer = OutboundAuth::Bearer {
        token: "t0k".to_owned(),
    };
    let received = scene().await.sent_with(bearer).await;
    assert_eq!(received.header("authorization"), "Bearer t0k");
    let header = OutboundAuth::Header {
        name: "X-Api-Key".to_owned(),
        value: "k".to_owned(),
    };
    let received = scene().await.sent_with(header).await;
    assert_eq!(received.header("x-api-key"), "k");
    let none = scene().await.sent_with(OutboundAuth::None).await;
    assert_eq!(none.header("authorization"), "");
}

#[tokio::test]
async fn an_integrators_own_header_never_replaces_ours() {
    let scene = Scene::new([Reply::status(200)], [Reply::status(500)]).await;
    let handoff = scene.outgoing.handoff.to_string();
    let header = OutboundAuth::Header {
        name: "webhook-id".to_owned(),
        value: "forged".to_owned(),
    };
    assert_eq!(scene.sent_with(header).await.header("webhook-id"), handoff);
}

#[tokio::test]
async fn a_token_is_asked_for_once_and_used_until_it_expires() {
    let scene = Scene::new([Reply::status(200)], [token("one"), token("two")]).await;
    assert_eq!(status_and_cached(&scene.attempt().await), (200, false));
    assert_eq!(status_and_cached(&scene.attempt().await), (200, true));
    scene.clock.advance(Duration::from_secs(270));
    assert_eq!(status_and_cached(&scene.attempt().await), (200, false));
    let used: Vec<String> = scene
        .orders
        .received()
        .iter()
        .map(|received| received.header("authorization").to_owned())
        .collect();
    assert_eq!(used, ["Bearer one", "Bearer one", "Bearer two"]);
    let asked = scene.tokens.received().remove(0);
    assert_eq!(asked.header("authorization"), basic("us", "p%3Aw"));
    assert_eq!(asked.body, b"grant_type=client_credentials&scope=orders");
}

#[tokio::test]
async fn the_id_and_the_secret_go_into_the_body_if_the_server_wants_them_there() {
    let mut scene = Scene::new([Reply::status(200)], [token("one")]).await;
    if let OutboundAuth::Oauth2 { client_auth, .. } = &mut scene.outgoing.auth {
        *client_auth = ClientAuth::Post;
    }
    assert_eq!(status_and_cached(&scene.attempt().await), (200, false));
    let asked = scene.tokens.received().remove(0);
    assert_eq!(asked.header("authorization"), "");
    let body = "grant_type=client_credentials&scope=orders&client_id=us&client_secret=p%3Aw";
    assert_eq!(String::from_utf8_lossy(&asked.body), body);
}

#[tokio::test]
async fn a_401_on_a_kept_token_drops_it_and_the_next_attempt_signs_in_afresh() {
    let orders = [200, 401, 401].map(Reply::status);
    let scene = Scene::new(orders, [token("one"), token("two")]).await;
    scene.attempt().await;
    assert_eq!(status_and_cached(&scene.attempt().await), (401, true));
    assert_eq!(status_and_cached(&scene.attempt().await), (401, false));
    assert_eq!(scene.tokens.received().len(), 2);
}

#[tokio::test]
async fn a_sign_in_sends_its_credentials_and_takes_the_token_from_the_answer() {
    let mut scene = Scene::new(
        [Reply::status(201)],
        [Reply::with(200, "", r#"{"token":"jwt"}"#)],
    )
    .await;
    scene.outgoing.auth = OutboundAuth::SignIn {
        url: scene.tokens.url(),
        username: "us".to_owned(),
        password: "pw".to_owned(),
    };
    assert_eq!(status_and_cached(&scene.attempt().await), (201, false));
    let asked: serde_json::Value =
        serde_json::from_slice(&scene.tokens.received()[0].body).unwrap();
    assert_eq!(
        asked,
        serde_json::json!({"username": "us", "password": "pw"})
    );
    assert_eq!(
        scene.orders.received()[0].header("authorization"),
        "Bearer jwt"
    );
}

#[tokio::test]
async fn a_token_is_taken_from_seed_004s_envelope_and_from_where_the_settings_say() {
    let envelope = r#"{"code":"ok","message":"","data":"one"}"#;
    let odd = r#"{"token":"no","session":[{"key/s":"two"}]}"#;
    let mut scene = Scene::new(
        [Reply::status(201)],
        [envelope, odd].map(|body| Reply::with(200, "", body)),
    )
    .await;
    scene.outgoing.auth = OutboundAuth::SignIn {
        url: scene.tokens.url(),
        username: "us".to_owned(),
        password: "pw".to_owned(),
    };
    scene.attempt().await;
    // Another place is another token, however long the first one is good.
    scene.outgoing.token_at = Some("/session/0/key~1s".parse().unwrap());
    for cached in [false, true] {
        assert_eq!(status_and_cached(&scene.attempt().await), (201, cached));
    }
    let received = scene.orders.received();
    let used: Vec<_> = received
        .iter()
        .map(|one| one.header("authorization"))
        .collect();
    assert_eq!(used, ["Bearer one", "Bearer two", "Bearer two"]);
    assert_eq!(scene.tokens.received().len(), 2);
}

#[tokio::test]
async fn a_token_that_is_not_at_its_place_is_reported_with_the_place() {
    let mut scene = Scene::new(
        [Reply::status(200)],
        [Reply::with(200, "", r#"{"token":"usual"}"#)],
    )
    .await;
    scene.outgoing.token_at = Some("/data".parse().unwrap());
    let sent = scene.attempt().await;
    let AttemptResult::SendResult {
        heard: SendResult::NotConnected { error },
        ..
    } = sent
    else {
        panic!("{sent:?}");
    };
    assert!(error.contains(r#""/data""#), "{error}");
    assert!(scene.orders.received().is_empty());
}

#[tokio::test]
async fn without_a_token_nothing_of_the_order_is_sent() {
    let nonsense = Reply::with(200, "", r#"{"hello":1}"#);
    let unfinished = Reply::SayAndClose("HTTP/1.1 200 OK\r\n".to_owned());
    for reply in [Reply::status(401), Reply::status(503), nonsense, unfinished] {
        let scene = Scene::new([Reply::status(200)], [reply]).await;
        let sent = scene.attempt().await;
        assert!(
            matches!(
                &sent,
                AttemptResult::SendResult {
                    heard: SendResult::NotConnected { .. },
                    ..
                }
            ),
            "{sent:?}"
        );
        assert!(scene.orders.received().is_empty());
    }
}

#[tokio::test]
async fn a_token_that_no_header_can_carry_is_not_kept() {
    let scene = Scene::new([Reply::status(200)], [token(r"a\nb"), token("two")]).await;
    let sent = scene.attempt().await;
    assert!(
        matches!(
            &sent,
            AttemptResult::SendResult {
                heard: SendResult::NotConnected { .. },
                ..
            }
        ),
        "{sent:?}"
    );
    assert_eq!(status_and_cached(&scene.attempt().await), (200, false));
    assert_eq!(scene.tokens.received().len(), 2);
}

#[tokio::test]
async fn a_stop_while_a_token_is_asked_for_leaves_nothing_sent_and_nothing_unknown() {
    let scene = Scene::new([Reply::status(200)], [Reply::hang()]).await;
    let cut = scene.outbound.post.cut.clone();
    let (sent, _) = tokio::join!(scene.attempt(), async {
        scene.tokens.until_received(1).await;
        cut.cancel();
    });
    assert!(matches!(sent, AttemptResult::NotSent { .. }), "{sent:?}");
    assert!(scene.orders.received().is_empty());
}

#[tokio::test]
async fn changed_credentials_are_used_at_once() {
    let mut scene = Scene::new([Reply::status(200)], [token("one"), token("two")]).await;
    scene.attempt().await;
    if let OutboundAuth::Oauth2 { client_secret, .. } = &mut scene.outgoing.auth {
        client_secret.push('!');
    }
    assert_eq!(status_and_cached(&scene.attempt().await), (200, false));
}

#[tokio::test]
async fn who_waits_for_a_token_hears_of_its_failure_and_asks_for_none_until_the_next_attempt() {
    let release = Arc::new(tokio::sync::Notify::new());
    let refused = "HTTP/1.1 503 x\r\ncontent-length: 0\r\n\r\n".to_owned();
    let refused = Reply::SayWhenReleased(refused, Arc::clone(&release));
    let scene = Scene::new([Reply::status(200)], [refused, token("one")]).await;
    let (first, second, third, _) =
        tokio::join!(scene.attempt(), scene.attempt(), scene.attempt(), async {
            scene.tokens.until_received(1).await;
            release.notify_one();
        });
    for sent in [first, second, third] {
        let AttemptResult::SendResult {
            heard: SendResult::NotConnected { error },
            ..
        } = sent
        else {
            panic!("{sent:?}");
        };
        assert!(error.contains("503"), "{error}");
    }
    assert_eq!(scene.tokens.received().len(), 1);
    assert_eq!(status_and_cached(&scene.attempt().await), (200, false));
}

#[tokio::test]
async fn a_resolver_that_is_away_is_our_own_trouble_for_all_who_wait_for_a_token() {
    let mut scene = Scene::new([Reply::status(200)], [token("one")]).await;
    scene.outbound.post.guard = Guard::with_lookup(
        vec![],
        PlainHttp::Nowhere,
        Duration::from_secs(1),
        scene.clock.clone(),
        Box::new(|_| std::future::pending().boxed()),
    );
    scene.outgoing.auth = OutboundAuth::SignIn {
        url: "https://tokens.example/".parse().unwrap(),
        username: "us".to_owned(),
        password: "pw".to_owned(),
    };
    // One lookup after the other would take longer than the timeout of any attempt.
    for sent in join_all((0..8).map(|_| scene.attempt())).await {
        assert!(matches!(sent, AttemptResult::NotSent { .. }), "{sent:?}");
    }
}

#[tokio::test]
async fn attempts_at_one_time_ask_for_one_token() {
    let scene = Scene::new([Reply::status(200)], [token("one")]).await;
    tokio::join!(scene.attempt(), scene.attempt(), scene.attempt());
    assert_eq!(scene.tokens.received().len(), 1);
    assert_eq!(scene.orders.received().len(), 3);
}
