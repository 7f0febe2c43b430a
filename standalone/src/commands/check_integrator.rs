//! `expediter check-integrator URL`: sends an integrator what a worker would send, and reports what it gets wrong.

mod answers; // judges all answers together
mod callbacks; // takes the callbacks, and judges them
mod catalogue; // every check, with its reason
mod options; // options and secrets
mod plan; // sends the messages, check by check
mod report; // findings as text or JSON
mod sample; // the messages
mod sender; // sends with the worker's client
mod unreachable; // reasons why nothing can be checked

use std::{process::ExitCode, time::Duration};

use domain::ids::IntegratorId;
use platform::{chance::Chance, clock::Clock};
use runtime::config::Settings;
use serde_json::json;
use tokio_util::sync::CancellationToken;
use worker::outbound::{Outbound, OutboundSettings};

pub(crate) use self::options::CheckIntegrator;
use self::{
    callbacks::{Callbacks, Judge},
    options::Secrets,
    plan::Plan,
    report::Findings,
    sample::{Orders, Shop},
    sender::Sender,
};
use super::say;
use crate::refusal::{EXIT_CODE, Refusal};

/// Checks an integrator: 0 means ready, 1 that there are faults, 2 that nothing could be checked.
pub(crate) async fn check(
    settings: &Settings,
    options: CheckIntegrator,
) -> Result<ExitCode, Refusal> {
    let secrets = options
        .secrets()
        .map_err(Refusal::failed("check-integrator"))?;
    match run(settings, &options, secrets).await {
        Ok(findings) => {
            if options.json {
                say(format_args!("{:#}", findings.json(options.url.as_str())));
            } else {
                say(findings.text().trim_end());
            }
            Ok(if findings.has_faults() {
                ExitCode::FAILURE
            } else {
                ExitCode::SUCCESS
            })
        }
        Err(why) => {
            if options.json {
                let error = why.to_string();
                let answer = json!({"url": options.url, "result": "unchecked", "summary": error});
                say(format_args!("{answer:#}"));
                return Ok(ExitCode::from(EXIT_CODE));
            }
            Err(Refusal::failed("check-integrator")(why))
        }
    }
}

type Error = Box<dyn std::error::Error + Send + Sync>;

async fn run(
    settings: &Settings,
    options: &CheckIntegrator,
    secrets: Secrets,
) -> Result<Findings, Error> {
    let (clock, chance) = (Clock::system(), Chance::system());
    let outbound = outbound_settings(settings, options)?;
    let timeout = outbound.attempt_timeout;
    let integrator: IntegratorId = chance.id(clock.now());
    let orders = Orders::default();
    let callbacks = Callbacks::listen(
        options.callback_address,
        options.callback_url.as_ref(),
        integrator,
        (secrets.signing.clone(), secrets.callback.clone()),
        Orders::clone(&orders),
        clock.clone(),
    );
    let callbacks = callbacks.await.map_err(|cause| {
        format!(
            "listening for callbacks at {}: {cause}",
            options.callback_address
        )
    })?;
    let mut findings = Findings::default();
    introduce(options, &outbound, &callbacks, &mut findings);
    let sender = Sender {
        outbound: Outbound::new(
            &outbound,
            clock.clone(),
            chance.clone(),
            CancellationToken::new(),
        )?,
        url: options.url.clone(),
        integrator,
        auth: secrets.auth,
        answers: options.answers(),
        secret: secrets.signing,
        clock: clock.clone(),
        timeout,
        log: Default::default(),
    };
    let url = callbacks.url.clone();
    let shop = Shop::new(
        options.format,
        url,
        Orders::clone(&orders),
        clock,
        chance.clone(),
    );
    let plan = Plan {
        sender: &sender,
        shop: &shop,
        chance: &chance,
        findings: &mut findings,
    };
    let is_taken = plan.run().await?;
    answers::judge(&sender.log.lock(), timeout, &mut findings);
    if !is_taken {
        return Ok(findings);
    }
    callbacks.wait(Duration::from_secs(options.wait)).await;
    let orders = orders.lock().clone();
    let judge = Judge {
        format: options.format,
        status_map: &options.status_map(),
        has_secret: secrets.callback.is_some(),
        orders: &orders,
        findings: &mut findings,
    };
    judge.judge(&callbacks.arrived());
    Ok(findings)
}

/// Returns the worker's settings, in which this machine is allowed: integrators begin on it.
fn outbound_settings(
    settings: &Settings,
    options: &CheckIntegrator,
) -> Result<OutboundSettings, Error> {
    let mut outbound = OutboundSettings::from(&settings.worker);
    for network in ["127.0.0.0/8", "::1/128"] {
        outbound.allow_networks.push(network.parse()?);
    }
    outbound.allow_http_on_loopback = true;
    outbound.allow_http |= options.allow_http;
    if let Some(seconds) = options.timeout {
        outbound.attempt_timeout = Duration::from_secs(seconds);
        outbound.connect_timeout = outbound.connect_timeout.min(outbound.attempt_timeout);
    }
    Ok(outbound)
}

/// Notes the differences between this check and production.
fn introduce(
    options: &CheckIntegrator,
    outbound: &OutboundSettings,
    callbacks: &Callbacks,
    findings: &mut Findings,
) {
    let host = options.url.host_str().unwrap_or_default();
    let is_local = host == "localhost"
        || host
            .trim_matches(['[', ']'])
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback());
    if options.url.scheme() == "http" || is_local {
        findings.note(
            "http:// and this machine's own addresses are allowed in this check; Expediter wants a public https:// \
             address unless its operator allows another",
        );
    }
    findings.note(format!(
        "answers may take {} ms; callbacks were taken at {}",
        outbound.attempt_timeout.as_millis(),
        callbacks.url
    ));
    if !is_local && options.callback_url.is_none() && callbacks.listens_on.ip().is_loopback() {
        findings.note(
            "your callbacks cannot reach that address from another machine: add --callback-address and --callback-url",
        );
    }
}
