//! The sections of `default.toml` as types; the keys are documented there.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use chrono::TimeDelta;
use ipnet::IpNet;
use serde::Deserialize;

use super::values::{
    Secret, ServiceUrl, milliseconds, optional_parsed, optional_text, optional_url, seconds,
    secrets,
};
use crate::listen::TlsFiles;
use domain::{retention, stuck::StuckLimits};
use platform::clock::Pace;

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Http {
    pub api_listen: SocketAddr,
    pub notifier_listen: SocketAddr,
    pub worker_listen: SocketAddr,
    #[serde(deserialize_with = "optional_parsed")]
    pub tls_cert_file: Option<PathBuf>,
    #[serde(deserialize_with = "optional_parsed")]
    pub tls_key_file: Option<PathBuf>,
    #[serde(deserialize_with = "optional_url")]
    pub public_url: Option<ServiceUrl>,
    #[serde(deserialize_with = "optional_url")]
    pub callback_url: Option<ServiceUrl>,
    pub allowed_origins: Vec<String>,
    pub trusted_proxies: Vec<IpNet>,
    pub body_limit_bytes: usize,
    pub bodies_bytes: usize,
    pub max_connections: usize,
    #[serde(rename = "head_timeout_s", deserialize_with = "seconds")]
    pub head_timeout: Duration,
    #[serde(rename = "idle_timeout_s", deserialize_with = "seconds")]
    pub idle_timeout: Duration,
    pub debug_pages: bool,
}

impl Http {
    /// Returns the files of the certificate, if TLS is spoken.
    #[must_use]
    pub fn tls_files(&self) -> Option<TlsFiles> {
        let (cert, key) = (self.tls_cert_file.clone()?, self.tls_key_file.clone()?);
        Some(TlsFiles { cert, key })
    }

    /// Returns the scheme of addresses that a process with these settings listens on.
    #[must_use]
    pub fn scheme(&self) -> &'static str {
        if self.tls_files().is_some() {
            "https"
        } else {
            "http"
        }
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Database {
    pub url: ServiceUrl,
    pub allow_weak_durability: bool,
    pub max_connections: u32,
    pub statement_cache_capacity: usize,
    #[serde(rename = "lock_timeout_ms", deserialize_with = "milliseconds")]
    pub lock_timeout: Duration,
    #[serde(rename = "statement_timeout_ms", deserialize_with = "milliseconds")]
    pub statement_timeout: Duration,
    #[serde(rename = "session_timeout_s", deserialize_with = "seconds")]
    pub session_timeout: Duration,
    #[serde(rename = "connect_timeout_ms", deserialize_with = "milliseconds")]
    pub connect_timeout: Duration,
    #[serde(rename = "host_check_interval_ms", deserialize_with = "milliseconds")]
    pub host_check_interval: Duration,
    #[serde(rename = "host_check_timeout_ms", deserialize_with = "milliseconds")]
    pub host_check_timeout: Duration,
    #[serde(rename = "host_return_after_s", deserialize_with = "seconds")]
    pub host_return_after: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DatabaseKind {
    MySql,
    Sqlite,
}

impl Database {
    #[must_use]
    pub fn kind(&self) -> DatabaseKind {
        match self.url.scheme() {
            "mysql" => DatabaseKind::MySql,
            _ => DatabaseKind::Sqlite,
        }
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Broker {
    pub url: ServiceUrl,
    #[serde(deserialize_with = "optional_parsed")]
    pub ca_file: Option<PathBuf>,
    pub namespace: String,
    #[serde(rename = "publish_timeout_ms", deserialize_with = "milliseconds")]
    pub publish_timeout: Duration,
    #[serde(rename = "connect_timeout_ms", deserialize_with = "milliseconds")]
    pub connect_timeout: Duration,
    pub embedded_capacity: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BrokerKind {
    RabbitMq,
    Embedded,
}

impl Broker {
    #[must_use]
    pub fn kind(&self) -> BrokerKind {
        match self.url.scheme() {
            "amqp" | "amqps" => BrokerKind::RabbitMq,
            _ => BrokerKind::Embedded,
        }
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Intake {
    pub max_batch_orders: usize,
    pub max_batch_bytes: usize,
    pub writers: usize,
    pub queue_capacity: usize,
    /// Zero refuses none.
    #[serde(rename = "max_handover_lag_ms", deserialize_with = "milliseconds")]
    pub max_handover_lag: Duration,
}

/// Bounds of what one guest or integrator can make.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    pub order_text_bytes: usize,
    pub unfinished_orders_per_session: u32,
    pub snapshot_bytes: usize,
    pub page_bytes: usize,
    pub menu_cache_bytes: usize,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outbox {
    #[serde(rename = "claim_after_s", deserialize_with = "seconds")]
    pub claim_after: Duration,
    pub queue_capacity: usize,
    pub sweep_batch: u32,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Worker {
    pub default_concurrency: u32,
    #[serde(rename = "attempt_timeout_ms", deserialize_with = "milliseconds")]
    pub attempt_timeout: Duration,
    #[serde(rename = "connect_timeout_ms", deserialize_with = "milliseconds")]
    pub connect_timeout: Duration,
    #[serde(rename = "body_grace_ms", deserialize_with = "milliseconds")]
    pub body_grace: Duration,
    #[serde(rename = "lease_margin_s", deserialize_with = "seconds")]
    pub lease_margin: Duration,
    #[serde(rename = "max_pause_s", deserialize_with = "seconds")]
    pub max_pause: Duration,
    pub max_lanes: usize,
    pub response_limit_bytes: usize,
    pub allow_networks: Vec<IpNet>,
    pub allow_http: bool,
    #[serde(deserialize_with = "optional_url")]
    pub proxy_url: Option<ServiceUrl>,
    /// Allows `http://` to this one address. Not a setting: the demonstration sets it to its own address, where its
    /// kitchen and courier are.
    #[serde(skip)]
    pub own_address: Option<SocketAddr>,
    #[serde(rename = "sweep_interval_ms", deserialize_with = "milliseconds")]
    pub sweep_interval: Duration,
    pub sweep_batch: u32,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stuck {
    #[serde(rename = "accepted_s", deserialize_with = "seconds")]
    pub accepted: Duration,
    #[serde(rename = "preparing_s", deserialize_with = "seconds")]
    pub preparing: Duration,
    #[serde(rename = "ready_s", deserialize_with = "seconds")]
    pub ready: Duration,
    #[serde(rename = "dispatched_s", deserialize_with = "seconds")]
    pub dispatched: Duration,
    #[serde(rename = "handoff_s", deserialize_with = "seconds")]
    pub handoff: Duration,
    #[serde(rename = "callback_s", deserialize_with = "seconds")]
    pub callback: Duration,
    #[serde(rename = "outbox_s", deserialize_with = "seconds")]
    pub outbox: Duration,
}

impl Stuck {
    #[must_use]
    pub fn limits(&self) -> StuckLimits {
        StuckLimits {
            accepted: self.accepted,
            preparing: self.preparing,
            ready: self.ready,
            dispatched: self.dispatched,
            handoff: self.handoff,
            callback: self.callback,
            outbox: self.outbox,
        }
    }
}

/// Days; 0 is for ever.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retention {
    pub orders_days: u32,
    pub contact_days: u32,
    pub messages_days: u32,
    pub events_days: u32,
    pub archived_only: bool,
    pub batch_orders: u32,
}

impl Retention {
    #[must_use]
    pub fn limits(&self) -> retention::Limits {
        let age = |days: u32| (days > 0).then(|| TimeDelta::days(days.into()));
        retention::Limits {
            orders: age(self.orders_days),
            contact: age(self.contact_days),
            messages: age(self.messages_days),
            events: age(self.events_days),
            archived_only: self.archived_only,
            batch: self.batch_orders,
        }
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Audit {
    pub retention_days: u32,
}

impl Audit {
    /// Returns how long records are kept; `None`: for good.
    #[must_use]
    pub fn retention(&self) -> Option<Duration> {
        let days = u64::from(self.retention_days);
        (days > 0).then(|| Duration::from_secs(days * 86_400))
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Callbacks {
    #[serde(rename = "tolerance_s", deserialize_with = "seconds")]
    pub tolerance: Duration,
    pub allow_bearer: bool,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Notifier {
    pub max_sockets: usize,
    pub max_sockets_per_address: usize,
    pub max_sockets_per_holder: usize,
    pub client_queue_capacity: usize,
    pub client_queue_bytes: usize,
    pub guest_messages_per_minute: u32,
    #[serde(rename = "ping_interval_s", deserialize_with = "seconds")]
    pub ping_interval: Duration,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Accounts {
    #[serde(rename = "access_ttl_s", deserialize_with = "seconds")]
    pub access_ttl: Duration,
    #[serde(rename = "refresh_ttl_s", deserialize_with = "seconds")]
    pub refresh_ttl: Duration,
    pub open_registration: bool,
    pub argon2_concurrency: usize,
    pub password_hashes_per_minute: u32,
    pub sign_in_failures_per_username: u32,
    pub sign_in_failures_per_address: u32,
    pub sign_in_failures_per_known_address: u32,
}

/// Rate limits; 0 means unlimited.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateLimits {
    pub account_per_minute: u32,
    pub guest_per_minute: u32,
    pub address_per_minute: u32,
    pub session_orders_per_minute: u32,
    pub integrator_per_minute: u32,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Secrets {
    pub encryption_key: Secret,
    #[serde(deserialize_with = "secrets")]
    pub previous_encryption_keys: Vec<Secret>,
    pub jwt_key: Secret,
    #[serde(deserialize_with = "secrets")]
    pub previous_jwt_keys: Vec<Secret>,
    pub data_dir: PathBuf,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outside {
    #[serde(deserialize_with = "optional_url")]
    pub verification_url: Option<ServiceUrl>,
    #[serde(deserialize_with = "optional_url")]
    pub locations_url: Option<ServiceUrl>,
    #[serde(deserialize_with = "optional_url")]
    pub codes_url: Option<ServiceUrl>,
    #[serde(deserialize_with = "optional_url")]
    pub products_url: Option<ServiceUrl>,
    #[serde(rename = "timeout_ms", deserialize_with = "milliseconds")]
    pub timeout: Duration,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shutdown {
    #[serde(rename = "drain_s", deserialize_with = "seconds")]
    pub drain: Duration,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Telemetry {
    pub filter: String,
    pub format: LogFormat,
    #[serde(deserialize_with = "optional_url")]
    pub otlp_url: Option<ServiceUrl>,
    pub otlp_headers: Secret,
    pub otlp_trace_ratio: f64,
    #[serde(rename = "otlp_metrics_interval_s", deserialize_with = "seconds")]
    pub otlp_metrics_interval: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    Auto,
    Text,
    Json,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Testing {
    #[serde(deserialize_with = "optional_text")]
    pub crash_at: Option<String>,
    #[serde(deserialize_with = "optional_parsed")]
    pub clock_pace: Option<Pace>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Demo {
    pub enabled: bool,
    pub mock_users: bool,
}
