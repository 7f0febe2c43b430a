//! Event streams of real processes: of one process that serves all, and of a notifier beside api and worker.

use e2e::{
    EventStream, Expediter, Fleet, Integrator, Kind, Shop, client, each_ground, on_servers, one_to,
    text,
};
use platform::clock::Clock;
use reqwest::Method;
use serde_json::{Value, json};

async fn token(expediter: &Expediter) -> String {
    let credentials = json!({"username": "operator", "password": expediter.password("operator")});
    let (status, pair) = expediter.post("/api/v1/token", &credentials).await;
    assert_eq!(status, 200, "{pair}");
    text(&pair["access"])
}

each_ground! {
    async fn whoever_can_use_no_sockets_follows_an_order_and_misses_nothing_when_cut_off(ground: Ground) {
        let expediter = ground.launch().start().await;
        let integrator = Integrator::start(expediter.launch().clock());
        let shop = Shop::open(&expediter, &integrator, 0).await;
        let path = format!("/api/v1/sessions/{}/events/stream", shop.session_code);
        let mut stream = EventStream::open(expediter.request(Method::GET, &path)).await;
        let hello = stream.next().await.unwrap();
        assert_eq!((&hello["type"], &hello["seq"]), (&json!("hello"), &json!(1)));
        let order_id = shop.place(expediter.request(Method::POST, &shop.guests_path())).await;
        let mut numbers = stream.until_status(&order_id, "processing").await;
        let last_id = stream.last_id.clone().unwrap();
        drop(stream);
        let again = expediter.request(Method::GET, &path).header("Last-Event-ID", last_id);
        let mut stream = EventStream::open(again).await;
        numbers.extend(stream.until_status(&order_id, "ready").await);
        assert_eq!(numbers, one_to(numbers.len() + 1)[1..]);

        let token = token(&expediter).await;
        let orders = format!("/api/v1/stores/{}/events/stream", shop.store_id);
        let mut of_store = EventStream::open(expediter.request(Method::GET, &orders).bearer_auth(token)).await;
        let hello = of_store.next().await.unwrap();
        assert_eq!(hello["store"]["id"], json!(shop.store_id));
        assert_eq!(expediter.get("/metrics").await.0, 200);
    }

    async fn a_stream_that_is_refused_is_the_same_problem_as_the_apis_own(ground: Ground) {
        let expediter = ground.launch().start().await;
        let unknown = "0000000000000000000000000000000000000000";
        let id = "01980000-0000-7000-8000-000000000000";
        let token = token(&expediter).await;
        for (method, stream, own, headers) in [
            (Method::GET, format!("sessions/{unknown}/events/stream"), format!("sessions/{unknown}"), vec![]),
            (Method::GET, format!("orders/{id}/events/stream"), format!("orders/{id}"), vec![]),
            (Method::GET, format!("orders/{id}/events/stream"), format!("orders/{id}"), vec![("authorization", format!("Bearer {token}"))]),
            (Method::GET, format!("stores/{id}/events/stream"), format!("stores/{id}"), vec![("authorization", format!("Bearer {token}"))]),
            (Method::GET, "orders/x/events/stream".to_owned(), "orders/x".to_owned(), vec![("authorization", format!("Bearer {token}"))]),
            (Method::POST, format!("orders/{id}/events/stream"), format!("orders/{id}/events"), vec![]),
        ] {
            let ask = async |path: &str| {
                let request = expediter.request(method.clone(), &format!("/api/v1/{path}"));
                let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, value));
                let answer = request.header("x-request-id", "mine").send().await.unwrap();
                let header = |name: &str| answer.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
                let told = [header("content-type"), header("x-request-id"), header("www-authenticate"), header("allow")];
                (answer.status().as_u16(), told, answer.json::<Value>().await.unwrap())
            };
            assert_eq!(ask(&stream).await, ask(&own).await, "{method} {stream}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_notifier_of_its_own_serves_the_streams_and_takes_the_apis_tokens() {
    on_servers(|ground| async move {
        let mut fleet = Fleet::found(&ground).await;
        let (_api, _worker) = (
            fleet.start(Kind::Api).await,
            fleet.start(Kind::Worker).await,
        );
        let (first, second) = (
            fleet.start(Kind::Notifier).await,
            fleet.start(Kind::Notifier).await,
        );
        let integrator = Integrator::start(Clock::system());
        let shop = fleet.open_shop(&integrator).await;
        let path = format!("api/v1/sessions/{}/events/stream", shop.session_code);
        let at = |url: &str| client().get(format!("{url}/{path}"));
        let mut stream = EventStream::open(at(&first.url)).await;
        let order_id = shop
            .place(fleet.request(Method::POST, &shop.guests_path()))
            .await;
        let mut numbers = stream.until_status(&order_id, "processing").await;
        let last_id = stream.last_id.clone().unwrap();
        let resumed = at(&second.url).header("Last-Event-ID", last_id);
        let mut stream = EventStream::open(resumed).await;
        numbers.extend(stream.until_status(&order_id, "ready").await);
        assert_eq!(numbers, one_to(numbers.len() + 1)[1..]);

        let token = fleet.token().await;
        let of_store = format!(
            "{}/api/v1/stores/{}/events/stream",
            first.url, shop.store_id
        );
        let mut of_store = EventStream::open(client().get(&of_store).bearer_auth(&token)).await;
        assert_eq!(
            of_store.next().await.unwrap()["store"]["id"],
            json!(shop.store_id)
        );
        // A stop is told, and the stream ends.
        first.terminate();
        let end = of_store.next().await.unwrap();
        assert_eq!(end["code"], 1012, "{end}");
        assert_eq!(of_store.next().await, None);
    })
    .await;
}
