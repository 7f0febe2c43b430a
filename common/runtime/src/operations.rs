//! Endpoints of every process for operators and orchestrators: `/healthz`, `/readyz`, `/metrics`.

use std::{
    collections::BTreeMap,
    fmt,
    future::Future,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::{BoxFuture, join_all};
use http::{StatusCode, header::RETRY_AFTER};
use poem::{IntoResponse, Response, Route, endpoint::make_sync, get, web::Json};
use serde::Serialize;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use platform::metrics::Metrics;

/// Timeout of a probe; a slower one counts as down.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a report is cached, which bounds how often the probes run.
const REPORT_TTL: Duration = Duration::from_secs(1);

/// Builder of the operations endpoints: takes the probes, then becomes routes.
#[derive(Debug)]
pub struct Operations {
    metrics: Arc<Metrics>,
    stopping: CancellationToken,
    probes: Vec<Probe>,
    probe_timeout: Duration,
}

impl Operations {
    /// Creates a builder. Once `stopping` is cancelled the process is not ready, so that no new work is sent to it.
    #[must_use]
    pub fn new(metrics: Arc<Metrics>, stopping: CancellationToken) -> Self {
        Self {
            metrics,
            stopping,
            probes: Vec::new(),
            probe_timeout: PROBE_TIMEOUT,
        }
    }

    /// Adds a check to `/readyz`. Its texts are public: no addresses, no internal causes.
    #[must_use]
    pub fn probe<F, R>(mut self, name: &'static str, probe: F) -> Self
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = Health> + Send + 'static,
    {
        let check = Box::new(move || -> BoxFuture<'static, Health> { Box::pin(probe()) });
        self.probes.push(Probe { name, check });
        self
    }

    /// Returns the routes `GET /healthz`, `/readyz` and `/metrics`.
    pub fn routes(self) -> Route {
        let metrics = self.metrics;
        let readiness = Arc::new(Readiness {
            stopping: self.stopping,
            probes: self.probes,
            probe_timeout: self.probe_timeout,
            last: Mutex::new(None),
        });
        Route::new()
            .at("/healthz", get(make_sync(|_| Json(Report::alive()))))
            .at(
                "/readyz",
                get(poem::endpoint::make(move |_| {
                    let readiness = Arc::clone(&readiness);
                    async move { readiness.report().await }
                })),
            )
            .at(
                "/metrics",
                get(make_sync(move |_| {
                    let text = metrics.render();
                    Response::builder()
                        .content_type(prometheus::TEXT_FORMAT)
                        .body(text)
                })),
            )
    }
}

/// Result of a probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    Ok,
    /// Works with reduced service, for example while the broker is away and the sweep does its work.
    Degraded(&'static str),
    /// Cannot serve its purpose.
    Down(&'static str),
}

struct Probe {
    name: &'static str,
    check: Box<dyn Fn() -> BoxFuture<'static, Health> + Send + Sync>,
}

impl fmt::Debug for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Probe").field(&self.name).finish()
    }
}

struct Readiness {
    stopping: CancellationToken,
    probes: Vec<Probe>,
    probe_timeout: Duration,
    last: Mutex<Option<(Instant, Report)>>,
}

impl Readiness {
    async fn report(&self) -> Report {
        if self.stopping.is_cancelled() {
            return Report::of([("process", Health::Down("stopping"))]);
        }
        // Held while the probes run, so that concurrent requests get the same report.
        let mut last = self.last.lock().await;
        if let Some((at, report)) = &*last
            && at.elapsed() < REPORT_TTL
        {
            return report.clone();
        }
        let found = join_all(self.probes.iter().map(|probe| async {
            let health = tokio::time::timeout(self.probe_timeout, (probe.check)()).await;
            (
                probe.name,
                health.unwrap_or(Health::Down("probe timed out")),
            )
        }));
        let report = Report::of(found.await);
        *last = Some((Instant::now(), report.clone()));
        report
    }
}

#[derive(Clone, Debug, Serialize)]
struct Report {
    status: Status,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    checks: BTreeMap<&'static str, Check>,
}

#[derive(Clone, Debug, Serialize)]
struct Check {
    status: Status,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'static str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    Ok,
    Degraded,
    Down,
}

impl Report {
    fn alive() -> Self {
        Self::of([])
    }

    /// Builds a report whose status is that of its worst check.
    fn of(found: impl IntoIterator<Item = (&'static str, Health)>) -> Self {
        let checks: BTreeMap<_, _> = found
            .into_iter()
            .map(|(name, health)| (name, Check::from(health)))
            .collect();
        let status = checks
            .values()
            .map(|check| check.status)
            .max()
            .unwrap_or(Status::Ok);
        Self { status, checks }
    }
}

impl From<Health> for Check {
    fn from(health: Health) -> Self {
        let (status, detail) = match health {
            Health::Ok => (Status::Ok, None),
            Health::Degraded(detail) => (Status::Degraded, Some(detail)),
            Health::Down(detail) => (Status::Down, Some(detail)),
        };
        Self { status, detail }
    }
}

impl IntoResponse for Report {
    fn into_response(self) -> Response {
        match self.status {
            Status::Ok | Status::Degraded => Json(self).into_response(),
            Status::Down => Json(self)
                .with_status(StatusCode::SERVICE_UNAVAILABLE)
                .with_header(RETRY_AFTER, REPORT_TTL.as_secs())
                .into_response(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use http::Uri;
    use poem::{Endpoint, Request};

    use super::*;

    fn operations() -> Operations {
        Operations::new(Metrics::new(), CancellationToken::new())
    }

    async fn ask(routes: &Route, path: &'static str) -> (StatusCode, String) {
        let request = Request::builder().uri(Uri::from_static(path)).finish();
        let response = routes.get_response(request).await;
        (
            response.status(),
            response.into_body().into_string().await.unwrap(),
        )
    }

    #[tokio::test]
    async fn a_living_process_is_healthy_even_when_it_is_not_ready() {
        let routes = operations()
            .probe("database", async || Health::Down("no connection"))
            .routes();
        assert_eq!(
            ask(&routes, "/healthz").await,
            (StatusCode::OK, r#"{"status":"ok"}"#.to_owned())
        );
    }

    #[tokio::test]
    async fn readiness_is_as_bad_as_its_worst_check() {
        let worse = || operations().probe("database", async || Health::Ok);
        let worse = || worse().probe("broker", async || Health::Degraded("away"));
        let (status, body) = ask(&worse().routes(), "/readyz").await;
        let expected = r#"{"status":"degraded","checks":{"broker":{"status":"degraded","detail":"away"},"database":{"status":"ok"}}}"#;
        assert_eq!((status, body.as_str()), (StatusCode::OK, expected));

        let worst = worse().probe("disk", async || Health::Down("full"));
        let (status, body) = ask(&worst.routes(), "/readyz").await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(
            body.starts_with(r#"{"status":"down""#) && body.contains(r#""detail":"full""#),
            "{body}"
        );
    }

    #[tokio::test]
    async fn who_is_told_that_it_is_not_ready_is_told_when_to_ask_again() {
        let down = operations().probe("database", async || Health::Down("no connection"));
        let degraded = operations().probe("broker", async || Health::Degraded("away"));
        for (operations, retry_after) in [(down, Some("1")), (degraded, None)] {
            let request = Request::builder().uri(Uri::from_static("/readyz")).finish();
            let response = operations.routes().get_response(request).await;
            assert_eq!(response.header(RETRY_AFTER), retry_after);
        }
    }

    #[tokio::test]
    async fn a_probe_that_hangs_is_down() {
        let mut operations = operations().probe("database", std::future::pending);
        operations.probe_timeout = Duration::from_millis(1);
        let routes = operations.routes();
        let (status, body) = ask(&routes, "/readyz").await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(body.contains("probe timed out"), "{body}");
    }

    #[tokio::test]
    async fn a_stopping_process_is_not_ready_whatever_it_said_before() {
        let stopping = CancellationToken::new();
        let routes = Operations::new(Metrics::new(), stopping.clone()).routes();
        assert_eq!(ask(&routes, "/readyz").await.0, StatusCode::OK);
        stopping.cancel();
        assert_eq!(
            ask(&routes, "/readyz").await.0,
            StatusCode::SERVICE_UNAVAILABLE
        );
    }

    #[tokio::test]
    async fn asking_often_does_not_probe_often() {
        let probed = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&probed);
        let routes = operations()
            .probe("database", move || {
                count.fetch_add(1, Ordering::Relaxed);
                std::future::ready(Health::Ok)
            })
            .routes();
        let asked_at = Instant::now();
        for _ in 0..50 {
            ask(&routes, "/readyz").await;
        }
        let allowed = 1 + asked_at.elapsed().as_secs() as u32;
        assert!(probed.load(Ordering::Relaxed) <= allowed);
    }

    #[tokio::test]
    async fn metrics_are_served_as_prometheus_reads_them() {
        let routes = operations().routes();
        let request = Request::builder()
            .uri(Uri::from_static("/metrics"))
            .finish();
        let response = routes.get_response(request).await;
        assert_eq!(response.content_type(), Some("text/plain; version=0.0.4"));
        assert!(
            response
                .into_body()
                .into_string()
                .await
                .unwrap()
                .contains("expediter_orders_placed_total 0")
        );
    }
}
