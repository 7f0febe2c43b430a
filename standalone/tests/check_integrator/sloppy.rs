//! An integrator that does everything right but for one fault, over a plain socket, because some faults are below HTTP.

mod calls; // its callbacks

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use chrono::Utc;
use courier::{Secret, SignatureHeaders};
use parking_lot::Mutex;
use platform::clock::Clock;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

pub(crate) const SIGNING: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
pub(crate) const CALLBACK: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// The one thing that is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Nothing,
    // Signatures
    RefusesAll,
    ChecksNothing,
    ChecksPresenceOnly,
    TakesUnsigned,
    ForgetsTheTime,
    AnswersForgeriesWith(u16),
    ReadsTheFirstSignature,
    // Messages
    NewReferenceForDuplicates,
    OrdersForDuplicates,
    FailsDuplicatesAtOnce,
    FailsFirstAttempts,
    FailsAll,
    LosesOrdersOfFailedAttempts,
    LimitsTheRate,
    DoesNotKnowCancelledOrder,
    PreparesCancelled,
    PreparesCancelledBefore,
    KnowsItsEventsOnly,
    TakesUnknownEventsForOrders,
    KnowsItsFieldsOnly,
    LimitsBodies,
    // Answers to test messages
    AnswersLate(u64),
    Redirects,
    RedirectsAll,
    SaysTooMuch,
    NeverEnds,
    EndsEarly,
    ShowsAPage,
    SaysOk,
    HasAStrayLine,
    SaysMoreThanItSaid,
    ClosesInSilence,
    // Callbacks
    SignsWithTheWrongSecret,
    SignsAnotherBody,
    SignsOld,
    CallsElsewhere,
    AddsAField,
    CallsAboutAStranger,
    ReusesIds,
    SpeaksItsOwnWords,
    GoesBack,
    SendsNoMarks,
    NeverRepeats,
    RepeatsUnderANewId,
}

pub(crate) struct Sloppy {
    pub(crate) url: String,
    _serving: JoinSet<()>,
}

struct State {
    fault: Fault,
    signing: Secret,
    callback: Secret,
    client: reqwest::Client,
    clock: Clock,
    memory: Mutex<Memory>,
}

#[derive(Default)]
struct Memory {
    answers: HashMap<String, String>,
    seen: HashMap<String, u32>,
    orders: HashMap<String, String>,
    cancelled: HashSet<String>,
    /// Requests with each id that are being answered.
    under_way: HashMap<String, u32>,
    made: u32,
    requests: u32,
}

struct Request {
    headers: HashMap<String, String>,
    body: Vec<u8>,
}

/// Bytes of an answer, and whether the connection ends after them.
struct Answer {
    bytes: Vec<u8>,
    end: End,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Keep,
    Close,
    Hang,
}

impl Sloppy {
    pub(crate) async fn start(fault: Fault) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/orders", listener.local_addr().unwrap());
        let state = Arc::new(State {
            fault,
            signing: SIGNING.parse().unwrap(),
            callback: CALLBACK.parse().unwrap(),
            client: e2e::client(),
            clock: Clock::system(),
            memory: Mutex::default(),
        });
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                connections.spawn(serve(stream, Arc::clone(&state)));
            }
        });
        Self {
            url,
            _serving: serving,
        }
    }
}

async fn serve(mut stream: TcpStream, state: Arc<State>) {
    let mut unread = Vec::new();
    while let Some(request) = read(&mut stream, &mut unread).await {
        let answer = state.answer(&request).await;
        if stream.write_all(&answer.bytes).await.is_err() {
            return;
        }
        match answer.end {
            End::Keep => {}
            End::Close => return,
            End::Hang => while stream.read(&mut [0; 64]).await.is_ok_and(|read| read > 0) {},
        }
    }
}

async fn read(stream: &mut TcpStream, unread: &mut Vec<u8>) -> Option<Request> {
    let head_length = loop {
        if let Some(at) = unread.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
        if stream.read_buf(unread).await.ok()? == 0 {
            return None;
        }
    };
    let head: Vec<u8> = unread.drain(..head_length).collect();
    let headers: HashMap<String, String> = String::from_utf8(head)
        .unwrap()
        .lines()
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    let length: usize = headers["content-length"].parse().unwrap();
    while unread.len() < length {
        if stream.read_buf(unread).await.ok()? == 0 {
            return None;
        }
    }
    let body = unread.drain(..length).collect();
    Some(Request { headers, body })
}

fn plain(status: u16, body: &str) -> Answer {
    with_head(status, "content-type: application/json\r\n", body)
}

fn with_head(status: u16, lines: &str, body: &str) -> Answer {
    let length = body.len();
    Answer {
        bytes: format!("HTTP/1.1 {status} x\r\n{lines}content-length: {length}\r\n\r\n{body}")
            .into_bytes(),
        end: End::Keep,
    }
}

fn raw(text: impl Into<Vec<u8>>, end: End) -> Answer {
    Answer {
        bytes: text.into(),
        end,
    }
}

impl State {
    async fn answer(self: &Arc<Self>, request: &Request) -> Answer {
        if self.fault == Fault::RedirectsAll {
            return with_head(308, "location: https://elsewhere.example/\r\n", "");
        }
        if self.fault == Fault::LimitsTheRate {
            let mut memory = self.memory.lock();
            memory.requests += 1;
            if memory.requests.is_multiple_of(4) {
                return with_head(429, "retry-after: 0\r\n", "");
            }
        }
        if self.fault == Fault::LimitsBodies && request.body.len() > 10_000 {
            return plain(413, "{}");
        }
        if !self.is_signed(request) {
            let status = match self.fault {
                Fault::AnswersForgeriesWith(status) => status,
                _ => 401,
            };
            return plain(status, "{}");
        }
        let message: Value = serde_json::from_slice(&request.body).unwrap();
        if let Some(answer) = self.answer_oddly(request, &message).await {
            return answer;
        }
        self.take(request, &message).await
    }

    fn is_signed(&self, request: &Request) -> bool {
        let header = |name| request.headers.get(name).map_or("", String::as_str);
        let (id, timestamp) = (header("webhook-id"), header("webhook-timestamp"));
        let signature = header("webhook-signature");
        let now = self.clock.now();
        let verify = |id: &str, signature: &str, now| {
            let headers = SignatureHeaders {
                id,
                timestamp,
                signature,
            };
            self.signing.verify(headers, &request.body, now).is_ok()
        };
        match self.fault {
            Fault::RefusesAll => false,
            Fault::ChecksNothing => true,
            Fault::ChecksPresenceOnly => !signature.is_empty() && !timestamp.is_empty(),
            Fault::TakesUnsigned if signature.is_empty() || timestamp.is_empty() => true,
            Fault::ForgetsTheTime => {
                let at_s = timestamp.parse().unwrap_or_default();
                let at = chrono::DateTime::<Utc>::from_timestamp(at_s, 0).unwrap();
                verify(id, signature, at)
            }
            Fault::ReadsTheFirstSignature => {
                let first = signature.split(' ').next().unwrap_or_default();
                verify(id, first, now)
            }
            _ => verify(id, signature, now),
        }
    }

    async fn answer_oddly(&self, request: &Request, message: &Value) -> Option<Answer> {
        let event = message["event"].as_str().unwrap();
        if self.fault == Fault::FailsAll {
            return Some(plain(500, "{}"));
        }
        if self.fault == Fault::KnowsItsEventsOnly
            && ![
                "order.placed",
                "order.cancelled",
                "order.status_changed",
                "test",
            ]
            .contains(&event)
        {
            return Some(plain(422, "{}"));
        }
        if self.fault == Fault::KnowsItsFieldsOnly
            && message["order"].get("something_new").is_some()
        {
            return Some(plain(400, "{}"));
        }
        if matches!(
            self.fault,
            Fault::FailsFirstAttempts | Fault::LosesOrdersOfFailedAttempts
        ) {
            let mut memory = self.memory.lock();
            let seen = memory.seen.entry(request.headers["webhook-id"].clone());
            let seen = seen.and_modify(|seen| *seen += 1).or_insert(1);
            if *seen == 1 {
                return Some(plain(500, "{}"));
            }
            if self.fault == Fault::LosesOrdersOfFailedAttempts {
                return Some(plain(409, "{}"));
            }
        }
        if event != "test" {
            return None;
        }
        let json = "content-type: application/json\r\n";
        Some(match self.fault {
            Fault::AnswersLate(ms) => {
                tokio::time::sleep(Duration::from_millis(ms)).await;
                plain(200, "{}")
            }
            Fault::Redirects => with_head(302, "location: /orders/\r\n", ""),
            Fault::SaysTooMuch => plain(200, &json!({"text": "x".repeat(70_000)}).to_string()),
            Fault::NeverEnds => raw(
                format!("HTTP/1.1 200 x\r\n{json}content-length: 100\r\n\r\n{{"),
                End::Hang,
            ),
            Fault::EndsEarly => raw(
                format!("HTTP/1.1 200 x\r\n{json}content-length: 100\r\n\r\n{{"),
                End::Close,
            ),
            Fault::ShowsAPage => with_head(
                200,
                "content-type: text/html\r\n",
                "<html>Please sign in</html>",
            ),
            Fault::SaysOk => with_head(200, "content-type: text/plain\r\n", "OK"),
            Fault::HasAStrayLine => with_head(200, &format!("{json}a stray line\r\n"), "{}"),
            Fault::SaysMoreThanItSaid => {
                let mut answer = plain(200, "{}");
                answer.bytes.extend_from_slice(b"\r\nand more");
                answer
            }
            Fault::ClosesInSilence => raw("", End::Close),
            _ => return None,
        })
    }

    async fn take(self: &Arc<Self>, request: &Request, message: &Value) -> Answer {
        let webhook_id = request
            .headers
            .get("webhook-id")
            .cloned()
            .unwrap_or_default();
        let event = message["event"].as_str().unwrap();
        let order = message["order"]["id"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        let url = message["callback_url"].as_str().unwrap().to_owned();
        if self.fault == Fault::FailsDuplicatesAtOnce {
            let others = {
                let mut memory = self.memory.lock();
                let under_way = memory.under_way.entry(webhook_id.clone()).or_default();
                *under_way += 1;
                *under_way - 1
            };
            // Long enough for the others to arrive.
            tokio::time::sleep(Duration::from_millis(100)).await;
            if let Some(under_way) = self.memory.lock().under_way.get_mut(&webhook_id) {
                *under_way -= 1;
            }
            // One may be left of an attempt that was given up.
            if others >= 2 {
                return plain(409, "{}");
            }
        }
        let mut memory = self.memory.lock();
        let is_duplicate = memory.answers.contains_key(&webhook_id);
        let forgets = matches!(
            self.fault,
            Fault::NewReferenceForDuplicates | Fault::OrdersForDuplicates
        );
        if is_duplicate && !forgets {
            return plain(200, &memory.answers[&webhook_id]);
        }
        match event {
            "order.cancelled" => {
                let is_known = memory.orders.contains_key(&order);
                if self.fault == Fault::DoesNotKnowCancelledOrder && !is_known {
                    return plain(404, "{}");
                }
                if is_known || self.fault != Fault::PreparesCancelledBefore {
                    memory.cancelled.insert(order);
                }
                memory.answers.insert(webhook_id, "{}".to_owned());
                plain(200, "{}")
            }
            "order.placed" => self.place(&mut memory, webhook_id, order, url),
            "test" | "order.status_changed" => plain(200, "{}"),
            _ if self.fault == Fault::TakesUnknownEventsForOrders => {
                self.place(&mut memory, webhook_id, order, url)
            }
            _ => plain(200, "{}"),
        }
    }

    fn place(
        self: &Arc<Self>,
        memory: &mut Memory,
        webhook_id: String,
        order: String,
        url: String,
    ) -> Answer {
        let is_new = !memory.orders.contains_key(&order);
        memory.made += 1;
        let reference = match (self.fault, memory.orders.get(&order)) {
            (Fault::NewReferenceForDuplicates, _) | (_, None) => format!("S-{}", memory.made),
            (_, Some(known)) => known.clone(),
        };
        memory.orders.insert(order.clone(), reference.clone());
        let body = json!({"reference": reference}).to_string();
        memory.answers.insert(webhook_id, body.clone());
        let series = memory.made;
        let is_cancelled = memory.cancelled.contains(&order);
        if (is_new && !is_cancelled) || self.fault == Fault::OrdersForDuplicates {
            tokio::spawn(Arc::clone(self).call_back(url, order, series));
        }
        plain(200, &body)
    }
}
