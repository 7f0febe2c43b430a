//! One trace from the POST to the screen: over the outbox, the queue, retries and a restart.

use e2e::{
    Channel, Collector, Expediter, Fleet, Integrator, Kind, Launch, Mood, Shop, on_servers, text,
};
use platform::clock::Clock;
use reqwest::{Method, RequestBuilder};

/// The client's trace, and its span.
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CLIENTS_SPAN: &str = "b7ad6b7169203331";

/// The spans of an order that was handed over.
const WAY: [&str; 4] = [
    "POST /sessions/{code}/orders",
    "publish order.placed",
    "hand over order.placed",
    "show order.placed",
];

fn traced(request: RequestBuilder, flags: &str) -> RequestBuilder {
    request.header("traceparent", format!("00-{TRACE}-{CLIENTS_SPAN}-{flags}"))
}

fn reports_to(collector: &Collector, launch: Launch) -> Launch {
    launch
        .set("telemetry.otlp_url", &collector.url)
        .set("telemetry.otlp_headers", Collector::headers())
        .set("telemetry.otlp_trace_ratio", 0.0)
        .set("telemetry.otlp_metrics_interval_s", 1)
}

async fn place(expediter: &Expediter, shop: &Shop, flags: &str) -> String {
    let request = expediter.request(Method::POST, &shop.guests_path());
    shop.place(traced(request, flags)).await
}

e2e::each_ground! {
    async fn one_trace_leads_from_the_post_to_the_screen_and_over_a_restart(ground: Ground) {
        let (collector, integrator) = (Collector::start(), Integrator::start(Clock::system()));
        let launch = reports_to(&collector, ground.launch());
        let mut expediter = launch.start().await;
        let shop = Shop::open(&expediter, &integrator, 5).await;
        let mut screen = expediter.channel(&shop.session_code, None).await;
        integrator.next([Mood::Answers(500)]);
        let order_id = place(&expediter, &shop, "01").await;
        screen.until_status(&order_id, "ready").await;

        let spans = collector.until_has(TRACE, &WAY).await;
        let post = spans.iter().find(|span| span.name == WAY[0]).expect("it is there");
        assert_eq!(post.parent, CLIENTS_SPAN);
        assert_eq!(post.attribute("http.response.status_code"), "201");
        for span in &spans {
            assert_eq!(span.service, "expediter");
            assert!(span.took_ms >= 0.0 && !format!("{span:?}").contains(&shop.session_code), "{span:?}");
            if span.id != post.id {
                assert_eq!(span.parent, post.id, "{span:?}");
                assert_eq!(span.attribute("expediter.order.id"), order_id, "{span:?}");
            }
        }
        // Both attempts, each within a span of its own that the integrator was told.
        let attempts: Vec<_> = spans.iter().filter(|span| span.name == WAY[2]).collect();
        let statuses: Vec<&str> = attempts.iter().map(|span| span.attribute("http.response.status_code")).collect();
        assert_eq!(statuses, ["500", "200"]);
        let received = integrator.received_for(&order_id);
        for (span, received) in attempts.iter().zip(&received) {
            assert_eq!(received.headers["traceparent"], format!("00-{TRACE}-{}-01", span.id));
        }

        // The order has its place for as long as it is kept: what a later process does is in the same trace.
        let order = expediter.read(&format!("/api/v1/orders/{order_id}")).await;
        let place = format!("00-{TRACE}-{}-01", post.id);
        assert_eq!(order["traceparent"], place);
        assert_eq!(screen.seen.last().expect("a frame")["data"]["order"]["traceparent"], place);
        expediter.restart().await;
        let request = expediter.by_operator(Method::PUT, &format!("/api/v1/orders/{order_id}/status"));
        let body = serde_json::json!({"status": "delivered"});
        let (status, answer) = expediter.answer(request.json(&body)).await;
        assert_eq!(status, 200, "{answer}");
        collector.until_has(TRACE, &["publish order.status_changed"]).await;
        collector.until_metric("expediter", "expediter_orders_placed_total").await;
    }

    async fn a_trace_that_is_not_recorded_costs_nothing_and_an_end_loses_none(ground: Ground) {
        let (collector, integrator) = (Collector::start(), Integrator::start(Clock::system()));
        let mut expediter = reports_to(&collector, ground.launch()).start().await;
        let shop = Shop::open(&expediter, &integrator, 5).await;
        let mut screen = expediter.channel(&shop.session_code, None).await;
        let silent = place(&expediter, &shop, "00").await;
        screen.until_status(&silent, "ready").await;
        let recorded = place(&expediter, &shop, "01").await;
        screen.until_status(&recorded, "ready").await;
        // The last spans are sent before the process ends.
        assert!(expediter.sigint().await.success(), "{}", expediter.launch().log());
        let spans = collector.spans();
        for name in WAY {
            let named = spans.iter().filter(|span| span.name == name).count();
            assert_eq!(named, 1, "{name}: {spans:?}");
        }
        assert!(!format!("{spans:?}").contains(&silent));
        // Its attempts keep the trace that they always had.
        let received = integrator.received_for(&silent);
        assert!(!received[0].headers["traceparent"].contains(TRACE));
        expediter.restart_with(|launch| launch.set("telemetry.otlp_url", "http://127.0.0.1:9")).await;
        let order = expediter.read(&format!("/api/v1/orders/{silent}")).await;
        assert!(order.get("traceparent").is_none(), "{order}");
        // A collector that is away stops nothing.
        let mut screen = expediter.channel(&shop.session_code, None).await;
        let later = place(&expediter, &shop, "01").await;
        screen.until_status(&later, "ready").await;
    }
}

/// Covers that each process reports its part of the way, and its own metrics.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_process_of_a_fleet_reports_its_part_of_the_trace() {
    on_servers(|ground| async move {
        let collector = Collector::start();
        let integrator = Integrator::start(Clock::system());
        let mut fleet = Fleet::found(&ground).await;
        let mut members = Vec::new();
        for kind in [Kind::Api, Kind::Worker, Kind::Notifier] {
            let started = fleet.start_with(kind, |launch| reports_to(&collector, launch));
            members.push(started.await);
        }
        let shop = fleet.open_shop(&integrator).await;
        let mut screen: Channel = members[2].channel(&shop.session_code, None).await;
        let request = fleet.request(Method::POST, &shop.guests_path());
        let order_id = shop.place(traced(request, "01")).await;
        screen.until_status(&order_id, "ready").await;
        let spans = collector.until_has(TRACE, &WAY).await;
        for (name, service) in WAY.into_iter().zip(["api", "api", "worker", "notifier"]) {
            let span = spans
                .iter()
                .find(|span| span.name == name)
                .expect("it is there");
            assert_eq!(span.service, format!("expediter-{service}"), "{span:?}");
            collector
                .until_metric(&span.service, "expediter_build_info")
                .await;
        }
        let order = fleet.read(&format!("/api/v1/orders/{order_id}")).await;
        assert!(text(&order["traceparent"]).starts_with(&format!("00-{TRACE}-")));
    })
    .await;
}
