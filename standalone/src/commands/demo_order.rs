//! `expediter demo-order`: places an order at the demonstration's table and prints each step as it happens.

use std::{collections::BTreeSet, process::ExitCode, time::Duration};

use anyhow::{Context, anyhow, bail};
use futures_util::{SinkExt, StreamExt};
use platform::chance::Chance;
use reqwest::Client;
use runtime::config::Settings;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{
    net::TcpStream,
    time::{Instant, Interval, interval, timeout, timeout_at},
};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async, tungstenite::Message};
use url::Url;

use super::say;
use crate::{
    command_line::DemoOrder,
    demo::{DEMO_PATH, HANDOFFS_PATH, ShownDemo, ShownHandoff, ShownProduct},
    refusal::Refusal,
};

/// Timeout for the final status; five attempts with their delays and timeouts take less than four minutes.
const ORDER_TIMEOUT: Duration = Duration::from_secs(300);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
const HANDOFFS_POLL_INTERVAL: Duration = Duration::from_millis(500);
/// Last status that the kitchen reports.
const LAST_STEP: &str = "ready";
const FINAL_STATUSES: &[&str] = &["delivered", "rejected", "failed", "cancelled"];

pub(crate) async fn place(settings: &Settings, options: DemoOrder) -> Result<ExitCode, Refusal> {
    let url = match &options.url {
        Some(url) => url.clone(),
        None => Url::parse(&format!(
            "{}://{}",
            settings.http.scheme(),
            settings.http.api_listen
        ))
        .expect("a socket address forms a valid HTTP URL"),
    };
    let failed = |cause: anyhow::Error| Refusal::failed("demo-order")(format!("{cause:#}"));
    let status = order(&url, &options).await.map_err(failed)?;
    Ok(if status == LAST_STEP || status == "delivered" {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Places the order and returns its last status.
async fn order(url: &Url, options: &DemoOrder) -> anyhow::Result<String> {
    let api_client = ApiClient::at(url)?;
    let demo = api_client.demo().await?;
    let product = choose(&demo.menu, options.product.as_deref())?;
    let mut channel = api_client.channel(&demo.session_code).await?;
    let placed = api_client
        .place(&demo.session_code, product, options.quantity)
        .await?;
    let mut progress = OrderProgress::of(placed)?;
    say(format_args!(
        "{} at {}: {} × {}",
        demo.store_name, demo.session_name, options.quantity, product.name
    ));
    let give_up_at = Instant::now() + ORDER_TIMEOUT;
    let mut looks = interval(HANDOFFS_POLL_INTERVAL);
    while !progress.has_ended() {
        let step = timeout_at(give_up_at, next(&mut channel, &mut looks));
        match step
            .await
            .with_context(|| format!("no final status after {} s", ORDER_TIMEOUT.as_secs()))??
        {
            // Printed first, because an attempt precedes the step that it caused.
            Next::Event(event) => {
                progress.take_handoffs(api_client.handoffs().await?);
                progress.take_event(&event);
            }
            Next::Look => progress.take_handoffs(api_client.handoffs().await?),
        }
    }
    let _ = channel.send(Message::Close(None)).await;
    say(format_args!("{}", progress.ending()));
    Ok(progress.status)
}

fn choose<'a>(menu: &'a [ShownProduct], wished: Option<&str>) -> anyhow::Result<&'a ShownProduct> {
    let wished = wished.unwrap_or_default().to_lowercase();
    let found = menu
        .iter()
        .find(|product| product.name.to_lowercase().starts_with(&wished));
    found.ok_or_else(|| {
        let names: Vec<_> = menu.iter().map(|product| product.name.as_str()).collect();
        anyhow!(
            "no product begins with {wished:?}; the menu has: {}",
            names.join(", ")
        )
    })
}

type Channel = WebSocketStream<MaybeTlsStream<TcpStream>>;

enum Next {
    Event(Value),
    Look,
}

async fn next(channel: &mut Channel, looks: &mut Interval) -> anyhow::Result<Next> {
    loop {
        tokio::select! {
            _ = looks.tick() => return Ok(Next::Look),
            frame = channel.next() => match frame {
                Some(Ok(Message::Text(text))) => return Ok(Next::Event(serde_json::from_str(&text)?)),
                Some(Ok(Message::Close(_))) | None => bail!("the live channel was closed"),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error).context("the live channel failed"),
            },
        }
    }
}

/// Client of the running expediter.
struct ApiClient<'a> {
    url: &'a Url,
    client: Client,
}

impl<'a> ApiClient<'a> {
    fn at(url: &'a Url) -> anyhow::Result<Self> {
        // An error means that the process has installed a provider already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .timeout(REQUEST_TIMEOUT)
            .no_proxy()
            .build()?;
        Ok(Self { url, client })
    }

    async fn demo(&self) -> anyhow::Result<ShownDemo> {
        let answer = self.client.get(self.url.join(DEMO_PATH)?).send().await;
        let answer = answer.map_err(|_| {
            anyhow!(
                "no expediter answers at {}: start one, or give its address with --url",
                self.url
            )
        })?;
        if answer.status() == reqwest::StatusCode::NOT_FOUND {
            bail!(
                "the expediter at {} runs without the demonstration",
                self.url
            );
        }
        Ok(answer.error_for_status()?.json().await?)
    }

    async fn handoffs(&self) -> anyhow::Result<Vec<ShownHandoff>> {
        #[derive(Deserialize)]
        struct Answer {
            handoffs: Vec<ShownHandoff>,
        }
        let answer = self
            .client
            .get(self.url.join(HANDOFFS_PATH)?)
            .send()
            .await?;
        Ok(answer.error_for_status()?.json::<Answer>().await?.handoffs)
    }

    async fn channel(&self, code: &str) -> anyhow::Result<Channel> {
        let mut url = self.url.join(&format!("/ws/sessions/{code}"))?;
        let scheme = if url.scheme() == "https" { "wss" } else { "ws" };
        url.set_scheme(scheme)
            .map_err(|()| anyhow!("{} is not an HTTP URL", self.url))?;
        let (mut channel, _) = connect_async(url.as_str())
            .await
            .context("opening the live channel failed")?;
        // After the first frame the channel is subscribed, so no step of an order placed from now on is missed.
        let greeting = timeout(REQUEST_TIMEOUT, channel.next()).await;
        greeting
            .context("the live channel sent no first frame")?
            .context("the live channel was closed")??;
        Ok(channel)
    }

    async fn place(
        &self,
        code: &str,
        product: &ShownProduct,
        quantity: u32,
    ) -> anyhow::Result<Value> {
        let url = self.url.join(&format!("/api/v1/sessions/{code}/orders"))?;
        let body = json!({"items": [{"product_id": product.product_id, "quantity": quantity}]});
        let request = self
            .client
            .post(url)
            .json(&body)
            .header("Idempotency-Key", Chance::system().token());
        let answer = request.send().await?;
        let status = answer.status();
        let body: Value = answer.json().await?;
        if !status.is_success() {
            let why = body["detail"]
                .as_str()
                .or(body["title"].as_str())
                .unwrap_or("no reason given");
            bail!("the order was not placed: {why} ({status})");
        }
        Ok(body)
    }
}

/// Progress of one order; prints each step once.
struct OrderProgress {
    order_id: String,
    number: i64,
    status: String,
    reason: Option<String>,
    /// Attempts that were printed, by their text.
    printed: BTreeSet<String>,
}

impl OrderProgress {
    fn of(placed: Value) -> anyhow::Result<Self> {
        Ok(Self {
            order_id: placed["id"]
                .as_str()
                .context("the response has no order id")?
                .to_owned(),
            number: placed["number"]
                .as_i64()
                .context("the response has no order number")?,
            status: String::new(),
            reason: None,
            printed: BTreeSet::new(),
        })
    }

    fn has_ended(&self) -> bool {
        self.status == LAST_STEP || FINAL_STATUSES.contains(&self.status.as_str())
    }

    fn take_event(&mut self, event: &Value) {
        let order = &event["data"]["order"];
        if order["id"] != self.order_id.as_str() {
            return;
        }
        let Some(status) = order["status"]
            .as_str()
            .filter(|status| *status != self.status)
        else {
            return;
        };
        status.clone_into(&mut self.status);
        self.reason = order["reason"].as_str().map(str::to_owned);
        let at = event["at"]
            .as_str()
            .and_then(|at| at.get(11..19))
            .unwrap_or("--:--:--");
        let why = self
            .reason
            .as_ref()
            .map(|reason| format!(" ({reason})"))
            .unwrap_or_default();
        say(format_args!("{at}  order {} is {status}{why}", self.number));
    }

    fn take_handoffs(&mut self, handoffs: Vec<ShownHandoff>) {
        for handoff in handoffs
            .iter()
            .filter(|handoff| handoff.order_number == Some(self.number))
        {
            let mut counted = 0;
            for attempt in &handoff.attempts {
                counted += u32::from(attempt.counted);
                let Some(outcome) = &attempt.outcome else {
                    continue;
                };
                let met = match (attempt.status, &attempt.error) {
                    (Some(status), _) => status.to_string(),
                    (None, Some(error)) => error.clone(),
                    (None, None) => outcome.clone(),
                };
                let number = if attempt.counted {
                    format!("attempt {counted}/{}", handoff.max_attempts)
                } else {
                    format!("request {}, which does not count", attempt.n)
                };
                let line = format!(
                    "          {} to {}, {number}: {met}",
                    handoff.event, handoff.integrator
                );
                if self
                    .printed
                    .insert(format!("{} {} {line}", handoff.id, handoff.round))
                {
                    say(line);
                }
            }
        }
    }

    fn ending(&self) -> String {
        match self.status.as_str() {
            LAST_STEP => format!("Order {} is ready to be served.", self.number),
            status => format!("Order {} ended: {status}.", self.number),
        }
    }
}
