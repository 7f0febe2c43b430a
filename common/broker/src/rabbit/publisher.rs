//! Publishes with confirms, and fails at once while RabbitMQ is away or blocked.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::{Either, FutureExt, Shared, join_all, select};
use futures_util::stream::StreamExt;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{BasicProperties, Channel, Confirmation, Connection, Event};
use tokio::sync::{Mutex, Semaphore, watch};
use tokio::time::{interval, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::away;
use super::session::{Session, SessionContext};
use super::setup::{SessionError, setup};
use crate::{BrokerOptions, BrokerState, Message, PublishError, Topic};

/// Header with the session that published a feed message. With [`COUNT`], its number within that session, it shows a
/// subscriber what its queue dropped.
pub(super) const ORIGIN: &str = "origin";
pub(super) const COUNT: &str = "count";

const PERSISTENT: u8 = 2;
const TRANSIENT: u8 = 1;
/// Interval at which a session checks that its connection is still there, in case no event reported its loss.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Publisher {
    inner: Arc<PublisherInner>,
    publishes: TaskTracker,
}

#[derive(Debug)]
struct PublisherInner {
    timeout: Duration,
    work: ShortString,
    feed: ShortString,
    current: watch::Sender<Option<Arc<ActiveSession>>>,
    state: watch::Sender<BrokerState>,
    /// One permit per message that is being published.
    permits: Semaphore,
}

/// The channel that messages are published on while one session lasts.
#[derive(Debug)]
struct ActiveSession {
    channel: Channel,
    origin: String,
    /// Number of feed messages sent; locked while a batch is sent, so that numbers leave in order.
    sent: Mutex<i64>,
    /// Cancelled when something is wrong with this session and another must begin.
    broken: CancellationToken,
}

type Stop = Shared<futures_util::future::BoxFuture<'static, PublishError>>;

impl Publisher {
    pub(super) fn new(options: &BrokerOptions, context: &SessionContext) -> (Self, PublishSession) {
        let topology = &context.topology;
        let inner = Arc::new(PublisherInner {
            timeout: options.publish_timeout,
            work: topology.work.clone(),
            feed: topology.feed.clone(),
            current: watch::Sender::new(None),
            state: watch::Sender::new(away("not connected yet")),
            permits: Semaphore::new(topology.capacity.min(Semaphore::MAX_PERMITS)),
        });
        let session = PublishSession {
            inner: inner.clone(),
        };
        (
            Self {
                inner,
                publishes: TaskTracker::new(),
            },
            session,
        )
    }

    pub(super) fn state(&self) -> watch::Receiver<BrokerState> {
        self.inner.state.subscribe()
    }

    pub(super) async fn publish(&self, messages: Vec<Message>) -> Vec<Result<(), PublishError>> {
        let count = messages.len();
        if self.publishes.is_closed() {
            return vec![Err(PublishError::Closed); count];
        }
        // Runs as a separate task, also if the caller is dropped: lapin keeps a confirm that nobody awaits forever.
        let inner = self.inner.clone();
        match self
            .publishes
            .spawn(async move { inner.publish(messages).await })
            .await
        {
            Ok(results) => results,
            Err(error) => vec![
                Err(PublishError::Away {
                    error: error.to_string()
                });
                count
            ],
        }
    }

    /// Refuses new publishes and waits for those under way, which have their own timeout.
    pub(super) async fn drain(&self) {
        self.publishes.close();
        self.publishes.wait().await;
    }
}

impl PublisherInner {
    async fn publish(&self, messages: Vec<Message>) -> Vec<Result<(), PublishError>> {
        let active = match (
            unavailable_error(&self.state.borrow()),
            &*self.current.borrow(),
        ) {
            (None, Some(active)) => active.clone(),
            (refused, _) => {
                let error = refused.unwrap_or(PublishError::Away {
                    error: "between connections".to_owned(),
                });
                return vec![Err(error); messages.len()];
            }
        };
        let stop = self.stop();
        let sent = {
            let sending = std::pin::pin!(self.send(&active, &messages));
            match select(sending, stop.clone()).await {
                Either::Left((sent, _)) => sent,
                Either::Right((error, _)) => {
                    active.restart_if_broken(&error);
                    return vec![Err(error); messages.len()];
                }
            }
        };
        join_all(
            sent.into_iter()
                .zip(&messages)
                .map(|(sent, message)| async {
                    let (confirm, _permit) = sent?;
                    let confirmed = match select(confirm, stop.clone()).await {
                        Either::Left((Ok(Confirmation::Ack(None)), _)) => Ok(()),
                        Either::Left((Ok(Confirmation::Ack(Some(_))), _)) => {
                            Err(PublishError::Unroutable)
                        }
                        Either::Left((Ok(_), _)) => Err(nack_error(message.topic)),
                        Either::Left((Err(error), _)) => Err(PublishError::Away {
                            error: error.to_string(),
                        }),
                        Either::Right((error, _)) => Err(error),
                    };
                    confirmed.inspect_err(|error| active.restart_if_broken(error))
                }),
        )
        .await
    }

    /// Returns a future that completes when there is no point in waiting for a confirm any longer.
    fn stop(&self) -> Stop {
        let (timeout, mut state) = (self.timeout, self.state.subscribe());
        async move {
            tokio::select! {
                () = sleep(timeout) => PublishError::TimedOut,
                changed = state.wait_for(|state| unavailable_error(state).is_some()) => {
                    changed.ok().and_then(|state| unavailable_error(&state)).unwrap_or(PublishError::Closed)
                }
            }
        }
        .boxed()
        .shared()
    }

    /// Sends all messages at once and in order; returns a confirm to wait for per message.
    async fn send<'a>(
        &'a self,
        active: &'a ActiveSession,
        messages: &'a [Message],
    ) -> Vec<Result<(lapin::PublisherConfirm, tokio::sync::SemaphorePermit<'a>), PublishError>>
    {
        let mut sent = active.sent.lock().await;
        let sending: Vec<_> = messages
            .iter()
            .map(|message| {
                let permit = self.permits.try_acquire().map_err(|_| PublishError::Full)?;
                let publish = match message.topic {
                    Topic::Work => active.channel.basic_publish(
                        "".into(),
                        self.work.clone(),
                        BasicPublishOptions {
                            mandatory: true,
                            ..Default::default()
                        },
                        &message.body,
                        BasicProperties::default().with_delivery_mode(PERSISTENT),
                    ),
                    Topic::Feed => {
                        *sent += 1;
                        active.channel.basic_publish(
                            self.feed.clone(),
                            "".into(),
                            BasicPublishOptions::default(),
                            &message.body,
                            BasicProperties::default()
                                .with_delivery_mode(TRANSIENT)
                                .with_headers(origin_headers(&active.origin, *sent)),
                        )
                    }
                };
                Ok((publish, permit))
            })
            .collect();
        join_all(sending.into_iter().map(|sending| async {
            let (publish, permit) = sending?;
            match publish.await {
                Ok(confirm) => Ok((confirm, permit)),
                Err(error) => Err(PublishError::Away {
                    error: error.to_string(),
                }),
            }
        }))
        .await
    }
}

impl ActiveSession {
    /// Ends the session after an error that a new one may cure: a timeout may be a connection that died silently, an
    /// unroutable message a deleted queue, and a new session declares everything again.
    fn restart_if_broken(&self, error: &PublishError) {
        match error {
            PublishError::Away { .. } | PublishError::TimedOut | PublishError::Unroutable => {
                self.broken.cancel()
            }
            PublishError::Full
            | PublishError::SubscriberLost
            | PublishError::Blocked { .. }
            | PublishError::Closed => {}
        }
    }
}

/// Returns the error of a nack: the work queue refuses when it is full; a feed queue never does, but may be deleted
/// while a message is on its way to it.
fn nack_error(topic: Topic) -> PublishError {
    match topic {
        Topic::Work => PublishError::Full,
        Topic::Feed => PublishError::SubscriberLost,
    }
}

fn unavailable_error(state: &BrokerState) -> Option<PublishError> {
    match state {
        BrokerState::Connected => None,
        BrokerState::Away { error, .. } => Some(PublishError::Away {
            error: error.clone(),
        }),
        BrokerState::Blocked { reason } => Some(PublishError::Blocked {
            reason: reason.clone(),
        }),
    }
}

pub(super) fn origin_headers(origin: &str, count: i64) -> FieldTable {
    let mut headers = FieldTable::default();
    headers.insert(ORIGIN.into(), AMQPValue::LongString(origin.into()));
    headers.insert(COUNT.into(), AMQPValue::LongLongInt(count));
    headers
}

#[derive(Debug)]
pub(super) struct PublishSession {
    inner: Arc<PublisherInner>,
}

#[async_trait]
impl Session for PublishSession {
    fn name(&self) -> &'static str {
        "expediter publisher"
    }

    async fn serve(
        &mut self,
        context: &SessionContext,
        connection: &Connection,
        stop: &CancellationToken,
    ) -> Result<(), SessionError> {
        let mut events = Box::pin(connection.events_listener());
        context.topology.declare(connection).await?;
        let channel = setup(connection.create_channel()).await?;
        setup(channel.confirm_select(ConfirmSelectOptions::default())).await?;
        let broken = CancellationToken::new();
        self.inner
            .current
            .send_replace(Some(Arc::new(ActiveSession {
                channel: channel.clone(),
                origin: hex(context.chance.bytes::<8>()),
                sent: Mutex::new(0),
                broken: broken.clone(),
            })));
        self.inner.state.send_replace(BrokerState::Connected);
        tracing::info!("connected to RabbitMQ");
        let mut ticker = interval(CHECK_INTERVAL);
        loop {
            tokio::select! {
                () = stop.cancelled() => {
                    self.inner.state.send_replace(away(PublishError::Closed));
                    return Ok(());
                }
                () = broken.cancelled() => return Err(SessionError::Ended("a publish failed or was not confirmed")),
                event = events.next() => match event {
                    Some(Event::ConnectionBlocked(reason)) => {
                        tracing::warn!(reason, "RabbitMQ blocked publishing");
                        self.inner.state.send_replace(BrokerState::Blocked { reason });
                    }
                    Some(Event::ConnectionUnblocked) => {
                        tracing::info!("RabbitMQ unblocked publishing");
                        self.inner.state.send_replace(BrokerState::Connected);
                    }
                    // May also be an error of another channel, such as a refused declaration.
                    Some(Event::Error(error)) if !is_open(connection, &channel) => return Err(error.into()),
                    Some(_) => {}
                    None => return Err(SessionError::Ended("the connection ended")),
                },
                _ = ticker.tick() => {
                    if !is_open(connection, &channel) {
                        return Err(SessionError::Ended("the connection ended"));
                    }
                }
            }
        }
    }

    fn broke(&mut self, why: &SessionError) {
        self.inner.current.send_replace(None);
        self.inner.state.send_modify(|state| match state {
            BrokerState::Away { error, .. } => *error = why.to_string(),
            BrokerState::Connected | BrokerState::Blocked { .. } => *state = away(why),
        });
    }
}

fn is_open(connection: &Connection, channel: &Channel) -> bool {
    connection.status().connected() && channel.status().connected()
}

pub(super) fn hex(bytes: [u8; 8]) -> String {
    format!("{:016x}", u64::from_be_bytes(bytes))
}
