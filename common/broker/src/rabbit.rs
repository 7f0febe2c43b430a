//! The broker over RabbitMQ. Only this file and its folder use lapin.
//!
//! The publisher, every consumer and every subscriber is a task with its own connection: connect, declare, serve until
//! the connection breaks, back off, repeat (`session`). lapin's own recovery stays off: replayed declarations do not
//! work with exclusive queues that get a new name for each connection.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use lapin::uri::AMQPUri;
use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, pem::PemObject};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::mailbox::Mailbox;
use super::{
    Broker, BrokerOptions, BrokerState, ConnectError, Deliveries, Delivery, FeedItem, Message,
    PublishError, Subscription,
};
use platform::{chance::Chance, hosts};

mod feed;
mod publisher;
mod session;
mod setup;
mod topology;
mod work;

use feed::FeedSession;
use publisher::Publisher;
use session::{Node, SessionContext};
use topology::Topology;
use work::{Prefetched, WorkSession};

/// Time that `close` waits for the connections to close.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// The broker over RabbitMQ; reconnects by itself for as long as it lives.
#[derive(Debug)]
pub struct Rabbit {
    context: Arc<SessionContext>,
    publisher: Publisher,
    publish_timeout: Duration,
    stop: CancellationToken,
    sessions: TaskTracker,
    _stop_on_drop: DropGuard,
}

impl Rabbit {
    /// Starts to connect without waiting for it. Needs a tokio runtime.
    ///
    /// # Errors
    /// If the URL is not a RabbitMQ URL, or the file of certificate authorities cannot be used.
    pub fn connect(options: &BrokerOptions, chance: Chance) -> Result<Self, ConnectError> {
        let context = Arc::new(SessionContext {
            nodes: parse(&options.url)?,
            authorities: options
                .ca_file
                .as_deref()
                .map(read_authorities)
                .transpose()?,
            connect_timeout: options.connect_timeout,
            topology: Topology::new(&options.namespace, options.capacity),
            chance,
        });
        let stop = CancellationToken::new();
        let sessions = TaskTracker::new();
        let (publisher, session) = Publisher::new(options, &context);
        sessions.spawn(session::run_sessions(
            context.clone(),
            stop.clone(),
            session,
        ));
        Ok(Self {
            context,
            publisher,
            publish_timeout: options.publish_timeout,
            sessions,
            _stop_on_drop: stop.clone().drop_guard(),
            stop,
        })
    }
}

/// Parses the URL of each host. The parser's own errors are not shown: they could contain the password.
fn parse(url: &str) -> Result<Vec<Node>, ConnectError> {
    let hosts = hosts::split(url)?;
    let heartbeat = match hosts.len() {
        1 => session::HEARTBEAT_S,
        _ => session::HEARTBEAT_OF_SEVERAL_S,
    };
    let parsed = hosts.into_iter().map(|host| {
        let mut uri: AMQPUri = host.url.parse().map_err(|_| ConnectError::Malformed)?;
        uri.query.heartbeat.get_or_insert(heartbeat);
        // The parser takes an address in brackets for none, and would connect to this machine.
        if let Some(address) = hosts::ipv6(&host.url) {
            uri.authority.host = address.to_string();
        }
        Ok(Node {
            name: format!("{}:{}", uri.authority.host, uri.authority.port),
            uri,
        })
    });
    parsed.collect()
}

/// Reads a file of certificate authorities once: a changed one needs a restart.
fn read_authorities(path: &Path) -> Result<String, ConnectError> {
    let refused = |why: String| ConnectError::CaFile {
        path: path.to_owned(),
        why,
    };
    let text = fs::read_to_string(path).map_err(|cause| refused(cause.to_string()))?;
    // lapin leaves out what it cannot read, and would then trust nobody.
    let mut authorities = RootCertStore::empty();
    for read in CertificateDer::pem_slice_iter(text.as_bytes()) {
        let certificate = read.map_err(|cause| refused(cause.to_string()))?;
        let added = authorities.add(certificate);
        added.map_err(|cause| refused(cause.to_string()))?;
    }
    if authorities.is_empty() {
        return Err(refused("it has no certificate in PEM".to_owned()));
    }
    Ok(text)
}

#[async_trait]
impl Broker for Rabbit {
    async fn publish(&self, messages: Vec<Message>) -> Vec<Result<(), PublishError>> {
        self.publisher.publish(messages).await
    }

    async fn work(&self, prefetch: u16) -> Box<dyn Deliveries> {
        let prefetch = prefetch.max(1);
        let stop = self.stop.child_token();
        let (deliver, deliveries) = mpsc::channel(usize::from(prefetch));
        let session = WorkSession::new(prefetch, deliver);
        self.sessions.spawn(session::run_sessions(
            self.context.clone(),
            stop.clone(),
            session,
        ));
        Box::new(Worker {
            deliveries,
            _stop_on_drop: stop.clone().drop_guard(),
            stop,
        })
    }

    async fn feed(&self) -> Box<dyn Subscription> {
        let stop = self.stop.child_token();
        let mailbox = Arc::new(Mailbox::new(self.context.topology.capacity));
        let (subscribed, first_time) = oneshot::channel();
        let session = FeedSession::new(mailbox.clone(), subscribed);
        let task = session::run_sessions(self.context.clone(), stop.clone(), session);
        self.sessions.spawn({
            let mailbox = mailbox.clone();
            async move {
                task.await;
                mailbox.close();
            }
        });
        // Wait for the first subscription; if the server is away, the feed begins with a gap instead.
        let _ = timeout(self.publish_timeout, first_time).await;
        Box::new(Subscriber {
            mailbox,
            _stop_on_drop: stop.drop_guard(),
        })
    }

    fn state(&self) -> watch::Receiver<BrokerState> {
        self.publisher.state()
    }

    async fn close(&self) {
        self.publisher.drain().await;
        self.stop.cancel();
        self.sessions.close();
        if timeout(CLOSE_TIMEOUT, self.sessions.wait()).await.is_err() {
            tracing::warn!("RabbitMQ connections did not close in time");
        }
    }
}

#[derive(Debug)]
struct Worker {
    deliveries: mpsc::Receiver<Prefetched>,
    stop: CancellationToken,
    _stop_on_drop: DropGuard,
}

#[async_trait]
impl Deliveries for Worker {
    async fn next(&mut self) -> Option<Delivery> {
        loop {
            let prefetched = tokio::select! {
                biased;
                () = self.stop.cancelled() => return None,
                prefetched = self.deliveries.recv() => prefetched?,
            };
            if let Some(delivery) = prefetched.into_delivery() {
                return Some(delivery);
            }
        }
    }
}

#[derive(Debug)]
struct Subscriber {
    mailbox: Arc<Mailbox>,
    _stop_on_drop: DropGuard,
}

#[async_trait]
impl Subscription for Subscriber {
    async fn next(&mut self) -> Option<FeedItem> {
        self.mailbox.next().await
    }
}

fn away(error: impl ToString) -> BrokerState {
    BrokerState::Away {
        since: Instant::now(),
        error: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(url: &str) -> Vec<(String, u16, Option<u16>)> {
        let nodes = parse(url).unwrap().into_iter();
        nodes
            .map(|node| {
                let at = node.uri.authority;
                (at.host, at.port, node.uri.query.heartbeat)
            })
            .collect()
    }

    #[test]
    fn each_host_of_a_list_is_a_node_with_the_same_account_and_a_short_heartbeat() {
        let short = Some(session::HEARTBEAT_OF_SEVERAL_S);
        assert_eq!(
            nodes("amqp://me:secret@a,b:5673,[::1]/shop"),
            [
                ("a".to_owned(), 5672, short),
                ("b".to_owned(), 5673, short),
                ("::1".to_owned(), 5672, short),
            ]
        );
        let parsed = parse("amqps://me:s%2Fcret@a,b/shop").unwrap();
        for node in &parsed {
            assert_eq!(node.uri.authority.userinfo.password, "s/cret");
            assert_eq!(node.uri.vhost, "shop");
        }
        assert_eq!(parsed[1].name, "b:5671");
        let own = nodes("amqp://a,b/shop?heartbeat=30");
        assert!(own.iter().all(|(_, _, heartbeat)| *heartbeat == Some(30)));
    }

    #[test]
    fn one_host_is_one_node_and_an_address_in_brackets_is_not_this_machine_by_accident() {
        let usual = Some(session::HEARTBEAT_S);
        assert_eq!(nodes("amqp://mq/%2f"), [("mq".to_owned(), 5672, usual)]);
        assert_eq!(
            nodes("amqps://me@[fe80::7]/x"),
            [("fe80::7".to_owned(), 5671, usual)]
        );
    }

    #[test]
    fn a_bad_list_is_refused_without_its_password() {
        for url in ["amqp://me:hunter2@a,,b/x", "amqp://me:hunter2@a,b:x/x"] {
            let Err(refused) = parse(url) else {
                panic!("{url} is taken");
            };
            assert!(matches!(refused, ConnectError::Hosts(_)), "{refused}");
            assert!(!refused.to_string().contains("hunter2"), "{refused}");
        }
    }
}
