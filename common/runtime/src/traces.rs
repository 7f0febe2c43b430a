//! Spans of distributed traces, from a request to the screens that show it.
//!
//! The place of a request in its trace goes with its order: in the row, in the events, to the integrator, and to screens
//! ([ADR 99](../../../docs/adr/0099-an-order-carries-its-trace.md)). Each part of the way is a span of its own, which the
//! process reports that goes it. Without a collector, or for a trace that is not recorded, nothing of this happens.

use std::{
    borrow::Cow,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant, SystemTime},
};

use chrono::{DateTime, Utc};
use domain::{
    event::{Event, EventKind},
    ids::OrderId,
    trace::TraceContext,
};
use http::HeaderMap;
use opentelemetry::{
    Context, KeyValue, Value, global,
    global::BoxedSpan,
    trace::{
        Span as _, SpanContext, SpanId, SpanKind, Status, TraceContextExt, TraceFlags, TraceId,
        TraceState, Tracer,
    },
};
use parking_lot::Mutex;

/// Header of a place in a trace.
const TRACEPARENT: &str = "traceparent";
/// Name under which spans are reported; the same as the metrics'.
pub(crate) const SCOPE: &str = "expediter";

/// Attribute with an order's id.
pub const ORDER_ID: &str = "expediter.order.id";

static IS_ON: AtomicBool = AtomicBool::new(false);

/// Number of requests a second whose trace is recorded because their client asks for it. Anybody may ask.
const MAX_ASKED_PER_S: u32 = 100;

static ASKED: Mutex<Asked> = Mutex::new(Asked {
    since: None,
    taken: 0,
});

/// Requests of the present second whose clients asked.
#[derive(Debug)]
struct Asked {
    since: Option<Instant>,
    taken: u32,
}

impl Asked {
    /// Returns true if one more may be recorded.
    fn take(&mut self, now: Instant) -> bool {
        let is_same = self
            .since
            .is_some_and(|since| now.duration_since(since) < Duration::from_secs(1));
        if !is_same {
            (self.since, self.taken) = (Some(now), 0);
        }
        self.taken += 1;
        self.taken <= MAX_ASKED_PER_S
    }
}

tokio::task_local! {
    static REQUEST: TraceContext;
}

/// Reports spans from now on, to the global provider.
pub(crate) fn switch_on() {
    IS_ON.store(true, Ordering::Relaxed);
}

/// Returns true if spans are reported to a collector.
#[must_use]
pub fn is_on() -> bool {
    IS_ON.load(Ordering::Relaxed)
}

/// Returns the place of the request that this task answers, if its trace is recorded.
#[must_use]
pub fn current() -> Option<TraceContext> {
    REQUEST.try_with(|context| *context).ok()
}

/// Runs `work` as part of a request; [`current`] returns its place.
pub async fn within<T>(context: Option<TraceContext>, work: impl Future<Output = T>) -> T {
    match context {
        Some(context) => REQUEST.scope(context, work).await,
        None => work.await,
    }
}

/// A part of a trace, reported when it is dropped.
#[derive(Debug)]
pub struct Span(BoxedSpan);

impl Span {
    /// Begins the span of a request to this process; `None` if spans are not reported. Whether its trace is recorded, its
    /// client says in `traceparent`, or else chance does.
    #[must_use]
    pub fn of_request(headers: &HeaderMap, method: &'static str) -> Option<Self> {
        if !is_on() {
            return None;
        }
        let mut said = headers.get_all(TRACEPARENT).into_iter();
        // Two of them are ambiguous, so both are ignored.
        let theirs = said.next().filter(|_| said.next().is_none());
        let theirs = theirs.and_then(|context| context.to_str().ok()?.parse().ok());
        let theirs = theirs.map(|context: TraceContext| TraceContext {
            is_sampled: context.is_sampled && ASKED.lock().take(Instant::now()),
            ..context
        });
        let tracer = global::tracer(SCOPE);
        let builder = tracer.span_builder(method).with_kind(SpanKind::Server);
        let parent = theirs.map_or_else(Context::new, parent);
        Some(Self(builder.start_with_context(&tracer, &parent)))
    }

    /// Begins a span within a trace that is recorded.
    #[must_use]
    pub fn begin(name: impl Into<Cow<'static, str>>, kind: Kind, within: TraceContext) -> Self {
        Self::begun_at(machine_time(), name, kind, within)
    }

    /// Begins a span that has lasted since `at`.
    #[must_use]
    pub fn begun_at(
        at: SystemTime,
        name: impl Into<Cow<'static, str>>,
        kind: Kind,
        within: TraceContext,
    ) -> Self {
        let tracer = global::tracer(SCOPE);
        let builder = tracer
            .span_builder(name)
            .with_kind(kind.into())
            .with_start_time(at);
        Self(builder.start_with_context(&tracer, &parent(within)))
    }

    /// Returns the span's place in its trace; `None` if that is not recorded.
    #[must_use]
    pub fn context(&self) -> Option<TraceContext> {
        let context = self.0.span_context();
        context.is_sampled().then(|| TraceContext {
            trace: u128::from_be_bytes(context.trace_id().to_bytes()),
            span: u64::from_be_bytes(context.span_id().to_bytes()),
            is_sampled: true,
        })
    }

    pub fn rename(&mut self, name: impl Into<Cow<'static, str>>) {
        self.0.update_name(name);
    }

    pub fn set(&mut self, key: &'static str, value: impl Into<Value>) {
        self.0.set_attribute(KeyValue::new(key, value));
    }

    /// Notes that this part of the way failed.
    pub fn fail(&mut self, why: impl Into<Cow<'static, str>>) {
        self.0.set_status(Status::error(why));
    }
}

/// Role of a span, as OpenTelemetry has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A request to another system.
    Client,
    /// A message that is sent.
    Producer,
    /// A message that is received.
    Consumer,
}

impl From<Kind> for SpanKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Client => Self::Client,
            Kind::Producer => Self::Producer,
            Kind::Consumer => Self::Consumer,
        }
    }
}

/// Returns the time of this machine, by which a collector compares the spans of all systems.
#[expect(
    clippy::disallowed_methods,
    reason = "other systems' spans follow no clock of ours"
)]
pub(crate) fn machine_time() -> SystemTime {
    SystemTime::now()
}

/// Returns when something happened, by this machine's clock, on which spans end. `now` and `at` are the ledger's time, which
/// may differ.
#[must_use]
pub fn local(now: DateTime<Utc>, at: DateTime<Utc>) -> SystemTime {
    let age = (now - at).to_std().unwrap_or_default();
    machine_time()
        .checked_sub(age)
        .unwrap_or(SystemTime::UNIX_EPOCH)
}

/// Returns the place in a trace that an event's order has; `None` if spans are not reported.
#[must_use]
pub fn of_event(event: &Event) -> Option<TraceContext> {
    if !is_on() {
        return None;
    }
    event.data["order"][TRACEPARENT].as_str()?.parse().ok()
}

/// Reports a span of an order's event, which lasted from `began` until now.
pub fn report(verb: &str, kind: Kind, within: TraceContext, event: &EventFacts, began: SystemTime) {
    let name = format!("{verb} {}", event.kind);
    let mut span = Span::begun_at(began, name, kind, within);
    span.set("expediter.event.type", event.kind.as_str());
    span.set("expediter.event.seq", event.seq);
    if let Some(order) = event.order {
        span.set(ORDER_ID, order.to_string());
    }
}

/// Facts of an event that its spans have.
#[derive(Clone, Copy, Debug)]
pub struct EventFacts {
    pub kind: EventKind,
    pub seq: i64,
    pub order: Option<OrderId>,
}

impl From<&Event> for EventFacts {
    fn from(event: &Event) -> Self {
        Self {
            kind: event.kind,
            seq: event.seq,
            order: event.order_id,
        }
    }
}

/// Returns the context of the span within which another one begins.
fn parent(of: TraceContext) -> Context {
    let flags = if of.is_sampled {
        TraceFlags::SAMPLED
    } else {
        TraceFlags::NOT_SAMPLED
    };
    Context::new().with_remote_span_context(SpanContext::new(
        TraceId::from(of.trace),
        SpanId::from(of.span),
        flags,
        true,
        TraceState::default(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_decide_for_so_many_traces_a_second() {
        let (mut asked, now) = (
            Asked {
                since: None,
                taken: 0,
            },
            Instant::now(),
        );
        for _ in 0..MAX_ASKED_PER_S {
            assert!(asked.take(now));
        }
        assert!(!asked.take(now + Duration::from_millis(999)));
        assert!(asked.take(now + Duration::from_secs(1)));
    }

    #[test]
    fn spans_begin_by_this_machines_clock_whatever_the_ledgers_is() {
        let now: DateTime<Utc> = "2026-11-30T12:00:00Z".parse().unwrap();
        let age = |began: SystemTime| machine_time().duration_since(began).unwrap().as_secs();
        assert_eq!(age(local(now, now - chrono::TimeDelta::seconds(3))), 3);
        assert_eq!(age(local(now, now + chrono::TimeDelta::seconds(3))), 0);
    }

    #[test]
    fn without_a_collector_nothing_is_begun() {
        let headers: HeaderMap = [(
            http::HeaderName::from_static(TRACEPARENT),
            http::HeaderValue::from_static(
                "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            ),
        )]
        .into_iter()
        .collect();
        assert!(Span::of_request(&headers, "POST").is_none());
        assert_eq!(current(), None);
    }
}
