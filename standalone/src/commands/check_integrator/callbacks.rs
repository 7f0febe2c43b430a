//! Takes the callbacks of the integrator under test, and answers them as Expediter does.

mod judge;
mod update;

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use domain::{
    callback::Update,
    ids::IntegratorId,
    signature::{Signed, SigningSecret, verify},
};
use parking_lot::Mutex;
use platform::clock::Clock;
use poem::{
    Request, Response, Server, endpoint,
    http::{Method, StatusCode},
    listener::TcpAcceptor,
};
use serde_json::json;
use tokio::{
    net::TcpListener,
    task::JoinHandle,
    time::{Instant, timeout_at},
};
use url::Url;

pub(super) use self::judge::Judge;
use super::{
    catalogue::{CALLBACK_BODY, CALLBACK_ID, CALLBACK_SIGNATURE, Check},
    sample::{Fate, Known, Orders},
};

/// Maximum difference between a signed time and ours, as in production.
const TOLERANCE: Duration = Duration::from_secs(300);
const MAX_BODY_BYTES: usize = 1024 * 1024;
const MAX_ID_BYTES: usize = 200;
/// Callbacks that are kept; further ones are answered and forgotten.
const MAX_ARRIVED: usize = 10_000;
/// Time without a callback after which no more are expected, if there was one about each order.
const QUIET: Duration = Duration::from_secs(2);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Server for callbacks; ends when it is dropped.
#[derive(Debug)]
pub(super) struct Callbacks {
    /// Address that the messages name.
    pub(super) url: String,
    pub(super) listens_on: SocketAddr,
    inner: Arc<Inner>,
    server: JoinHandle<()>,
}

#[derive(Debug)]
struct Inner {
    path: String,
    secret: Option<SigningSecret>,
    /// Callbacks signed with this one are a frequent mistake.
    signing_secret: SigningSecret,
    clock: Clock,
    orders: Orders,
    arrived: Mutex<Vec<Arrived>>,
}

/// A callback, with our answer.
#[derive(Clone, Debug)]
pub(super) struct Arrived {
    pub(super) at: Instant,
    pub(super) received_at: DateTime<Utc>,
    pub(super) webhook_id: String,
    pub(super) body: String,
    pub(super) verdict: Verdict,
}

#[derive(Clone, Debug)]
pub(super) enum Verdict {
    Taken(Update),
    /// An update that was taken before, with the same id.
    Repeated(Update),
    /// Answered with 503, to see if it comes again.
    PutOff(Update),
    Refused(Refused),
}

#[derive(Clone, Debug)]
pub(super) struct Refused {
    pub(super) check: &'static Check,
    status: u16,
    pub(super) advice: String,
}

impl Verdict {
    const fn status(&self) -> u16 {
        match self {
            Self::Taken(_) | Self::Repeated(_) => 202,
            Self::PutOff(_) => 503,
            Self::Refused(refused) => refused.status,
        }
    }

    fn update(&self) -> Option<&Update> {
        match self {
            Self::Taken(update) | Self::Repeated(update) | Self::PutOff(update) => Some(update),
            Self::Refused(_) => None,
        }
    }
}

impl Callbacks {
    /// Begins to listen. `public_url` is the address under which the integrator reaches us.
    pub(super) async fn listen(
        at: SocketAddr,
        public_url: Option<&Url>,
        integrator: IntegratorId,
        secrets: (SigningSecret, Option<SigningSecret>),
        orders: Orders,
        clock: Clock,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(at).await?;
        let listens_on = listener.local_addr()?;
        let base = match public_url {
            Some(url) => url.as_str().trim_end_matches('/').to_owned(),
            None => format!("http://{listens_on}"),
        };
        let path = format!("/api/v1/integrators/{integrator}/callbacks");
        let (signing_secret, secret) = secrets;
        let url = format!("{base}{path}");
        let inner = Arc::new(Inner {
            path,
            secret,
            signing_secret,
            clock,
            orders,
            arrived: Mutex::default(),
        });
        let server = tokio::spawn({
            let inner = Arc::clone(&inner);
            let endpoint = endpoint::make(move |request: Request| {
                let inner = Arc::clone(&inner);
                async move { inner.receive(request).await }
            });
            async move {
                let acceptor = TcpAcceptor::from_tokio(listener);
                if let Ok(acceptor) = acceptor {
                    let _ = Server::new_with_acceptor(acceptor).run(endpoint).await;
                }
            }
        });
        Ok(Self {
            url,
            listens_on,
            inner,
            server,
        })
    }

    /// Waits for callbacks until `patience` is over, or until there was one about each order and no more come.
    pub(super) async fn wait(&self, patience: Duration) {
        let deadline = Instant::now() + patience;
        let settled = async {
            while !self.is_settled() {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        let _ = timeout_at(deadline, settled).await;
    }

    pub(super) fn arrived(&self) -> Vec<Arrived> {
        self.inner.arrived.lock().clone()
    }

    fn is_settled(&self) -> bool {
        let arrived = self.inner.arrived.lock();
        let is_quiet = arrived.last().is_some_and(|last| last.at.elapsed() > QUIET);
        let is_taken = |id: &str| {
            arrived
                .iter()
                .any(|one| one.webhook_id == id && matches!(one.verdict, Verdict::Taken(_)))
        };
        let is_retried = arrived
            .iter()
            .all(|one| !matches!(one.verdict, Verdict::PutOff(_)) || is_taken(&one.webhook_id));
        let orders = self.inner.orders.lock();
        let mut placed = orders
            .iter()
            .filter(|known| matches!(known.fate, Fate::Placed));
        let updates = || arrived.iter().filter_map(|one| one.verdict.update());
        let is_told = |known: &Known| updates().any(|update| known.is_meant_by(update));
        is_quiet && is_retried && placed.all(is_told)
    }
}

impl Drop for Callbacks {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Inner {
    async fn receive(&self, mut request: Request) -> Response {
        let body = request.take_body().into_bytes_limit(MAX_BODY_BYTES).await;
        let body = body.map(|bytes| bytes.to_vec());
        let verdict = match &body {
            Ok(body) => self.judge(&request, body),
            Err(_) => Err(refused(
                CALLBACK_BODY,
                413,
                "The body is larger than 1 MiB.",
            )),
        };
        let webhook_id = request.header("webhook-id").unwrap_or_default().to_owned();
        let mut arrived = self.arrived.lock();
        let verdict = match verdict {
            Ok(update) => self.place(&arrived, &webhook_id, update),
            Err(refused) => Verdict::Refused(refused),
        };
        let status = verdict.status();
        let answer = match &verdict {
            Verdict::Refused(refused) => json!({"detail": refused.advice}),
            Verdict::PutOff(_) => json!({"detail": "This check wants to see it again."}),
            Verdict::Taken(_) => json!({"result": "stored"}),
            Verdict::Repeated(_) => json!({"result": "duplicate"}),
        };
        if arrived.len() < MAX_ARRIVED {
            arrived.push(Arrived {
                at: Instant::now(),
                received_at: self.clock.now(),
                webhook_id,
                body: String::from_utf8_lossy(&body.unwrap_or_default()).into_owned(),
                verdict,
            });
        }
        let status = StatusCode::from_u16(status).expect("it is one of ours");
        Response::builder()
            .status(status)
            .content_type("application/json")
            .body(answer.to_string())
    }

    /// Checks address, signature and body, in this order.
    fn judge(&self, request: &Request, body: &[u8]) -> Result<Update, Refused> {
        if request.uri().path() != self.path {
            let path = request.uri().path();
            return Err(refused(
                CALLBACK_BODY,
                404,
                format!("It came to {path}. Use the callback_url of the message as it is."),
            ));
        }
        if request.method() != Method::POST {
            return Err(refused(CALLBACK_BODY, 405, "Callbacks are POST requests."));
        }
        self.verify(request, body)?;
        let is_json = request
            .content_type()
            .is_some_and(|kind| kind.to_ascii_lowercase().starts_with("application/json"));
        if !is_json {
            return Err(refused(
                CALLBACK_BODY,
                415,
                "Send Content-Type: application/json.",
            ));
        }
        let id = request.header("webhook-id").unwrap_or_default();
        if id.len() > MAX_ID_BYTES {
            return Err(refused(
                CALLBACK_ID,
                422,
                format!("The webhook-id is longer than {MAX_ID_BYTES} bytes."),
            ));
        }
        let update = update::parse(body).map_err(|why| refused(CALLBACK_BODY, 422, why))?;
        let orders = self.orders.lock();
        match update.order_id {
            Some(id) if !orders.iter().any(|known| known.id == id) => Err(refused(
                CALLBACK_BODY,
                404,
                format!(
                    "You were never sent an order {id}. Give back order.id (or foreign_order_id) as it is."
                ),
            )),
            _ => Ok(update),
        }
    }

    fn verify(&self, request: &Request, body: &[u8]) -> Result<(), Refused> {
        let header = |name| request.header(name).filter(|value| !value.is_empty());
        let bad = |advice: String| refused(CALLBACK_SIGNATURE, 401, advice);
        let Some(id) = header("webhook-id") else {
            return Err(bad("The header webhook-id is missing.".to_owned()));
        };
        let Some(secret) = &self.secret else {
            return Ok(());
        };
        let bearer = header("authorization").and_then(|text| text.strip_prefix("Bearer "));
        if bearer.is_some_and(|token| secret.matches_text(token.trim())) {
            return Ok(());
        }
        let (Some(timestamp), Some(signature)) =
            (header("webhook-timestamp"), header("webhook-signature"))
        else {
            return Err(bad(
                "The headers webhook-timestamp and webhook-signature are needed.".to_owned(),
            ));
        };
        let signed = Signed {
            id,
            timestamp,
            signature,
        };
        let verify_with = |secret: &SigningSecret| {
            let secrets = std::slice::from_ref(secret);
            verify(secrets, signed, body, self.clock.now(), TOLERANCE)
        };
        verify_with(secret).map_err(|why| {
            bad(if verify_with(&self.signing_secret).is_ok() {
                "It is signed with the signing secret. Callbacks are signed with the callback secret.".to_owned()
            } else {
                format!("{why}. Sign `webhook-id.webhook-timestamp.body` with the callback secret, over the bytes that \
                         you send.")
            })
        })
    }

    /// Decides about a good update by those that came before.
    fn place(&self, arrived: &[Arrived], webhook_id: &str, update: Update) -> Verdict {
        let mut is_again = false;
        for before in arrived.iter().filter(|one| one.webhook_id == webhook_id) {
            match (&before.verdict, before.verdict.update() == Some(&update)) {
                (Verdict::Taken(_), true) => return Verdict::Repeated(update),
                (Verdict::PutOff(_), true) => is_again = true,
                (Verdict::Taken(_) | Verdict::PutOff(_), false) => {
                    return Verdict::Refused(refused(
                        CALLBACK_ID,
                        422,
                        "This webhook-id came before with another update. Use a new id for each update, and the same \
                         one when you send it again.",
                    ));
                }
                _ => {}
            }
        }
        let has_put_off = arrived
            .iter()
            .any(|one| matches!(one.verdict, Verdict::PutOff(_)));
        if !has_put_off && !is_again && self.is_about_placed(&update) {
            Verdict::PutOff(update)
        } else {
            Verdict::Taken(update)
        }
    }

    fn is_about_placed(&self, update: &Update) -> bool {
        let orders = self.orders.lock();
        orders
            .iter()
            .any(|known| known.is_meant_by(update) && matches!(known.fate, Fate::Placed))
    }
}

fn refused(check: &'static Check, status: u16, advice: impl Into<String>) -> Refused {
    Refused {
        check,
        status,
        advice: advice.into(),
    }
}
