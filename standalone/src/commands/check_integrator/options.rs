//! Options of `check-integrator`; secrets come from files or the environment, because everyone can read a command line.

use std::{collections::BTreeMap, fs, net::SocketAddr, path::PathBuf};

use domain::{
    answers::{Answers, JsonPointer},
    integrator::{Format, OutboundAuth},
    signature::SigningSecret,
    status::OrderStatus,
};
use runtime::config::Settings;
use url::Url;

/// Variables that are read if their option is not given.
const SIGNING_SECRET: &str = "EXPEDITER_SIGNING_SECRET";
const CALLBACK_SECRET: &str = "EXPEDITER_CALLBACK_SECRET";
const AUTH: &str = "EXPEDITER_AUTH";

#[derive(Debug, clap::Args)]
pub(crate) struct CheckIntegrator {
    /// Address that takes the handoffs, as you would give it to POST /integrators
    #[arg(value_name = "URL")]
    pub(super) url: Url,
    /// File with the signing secret (whsec_…) [default: EXPEDITER_SIGNING_SECRET in the environment]
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// File with the callback secret (whsec_…) [default: EXPEDITER_CALLBACK_SECRET in the environment]
    ///
    /// Without one, callbacks are taken and their signatures are not checked.
    #[arg(long, value_name = "FILE")]
    callback_secret_file: Option<PathBuf>,
    /// File with `auth` as in POST /integrators, such as {"type":"bearer","token":"…"} [default: EXPEDITER_AUTH in the
    /// environment, else none]
    #[arg(long, value_name = "FILE")]
    auth_file: Option<PathBuf>,
    /// Place of the token in the answer to a sign-in, as in `answers.token` of POST /integrators [default: the usual places]
    #[arg(long, value_name = "POINTER", value_parser = str::parse::<JsonPointer>)]
    token_at: Option<JsonPointer>,
    /// Place of your own id of the order in your answers, as in `answers.reference` [default: the usual places]
    #[arg(long, value_name = "POINTER", value_parser = str::parse::<JsonPointer>)]
    reference_at: Option<JsonPointer>,
    /// Format of the messages: order or delivery
    #[arg(long, default_value = "order", value_parser = str::parse::<Format>)]
    pub(super) format: Format,
    /// One of your status words and ours, as in `status_map`; repeatable
    #[arg(long = "status", value_name = "WORD=STATUS", value_parser = mapping)]
    statuses: Vec<(String, OrderStatus)>,
    /// Time that one answer may take [default: the setting worker.attempt_timeout_ms, 10 s]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=60))]
    pub(super) timeout: Option<u64>,
    /// Longest time to wait for callbacks after the last message
    #[arg(long, value_name = "SECONDS", default_value_t = 8, value_parser = clap::value_parser!(u64).range(0..=3600))]
    pub(super) wait: u64,
    /// Also send to http:// addresses that are not on this machine
    #[arg(long)]
    pub(super) allow_http: bool,
    /// Address to take callbacks at; port 0 means any free port
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    pub(super) callback_address: SocketAddr,
    /// URL under which your system reaches that address, if there is a tunnel or a proxy in between
    #[arg(long, value_name = "URL")]
    pub(super) callback_url: Option<Url>,
    /// Print the report as JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// Reason why the options cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum BadOption {
    #[error(
        "the signing secret is missing: write it into a file and add --secret-file FILE, or set {SIGNING_SECRET}"
    )]
    NoSecret,
    #[error("{source_name}: {cause}")]
    Unreadable {
        source_name: String,
        cause: std::io::Error,
    },
    #[error("{source_name}: {cause}")]
    NotASecret {
        source_name: String,
        cause: domain::signature::InvalidSecret,
    },
    #[error(
        "{source_name} must be JSON like `auth` in POST /integrators, such as {{\"type\":\"bearer\",\"token\":\"…\"}}: \
         {cause}"
    )]
    NotAuth {
        source_name: String,
        cause: serde_json::Error,
    },
}

/// Secrets of the integrator under test.
#[derive(Debug)]
pub(super) struct Secrets {
    pub(super) signing: SigningSecret,
    pub(super) callback: Option<SigningSecret>,
    pub(super) auth: OutboundAuth,
}

impl CheckIntegrator {
    pub(super) fn secrets(&self) -> Result<Secrets, BadOption> {
        let signing = read(self.secret_file.as_ref(), SIGNING_SECRET)?;
        let callback = read(self.callback_secret_file.as_ref(), CALLBACK_SECRET)?;
        let auth = match read(self.auth_file.as_ref(), AUTH)? {
            None => OutboundAuth::None,
            Some(Said { text, source_name }) => serde_json::from_str(&text)
                .map_err(|cause| BadOption::NotAuth { source_name, cause })?,
        };
        Ok(Secrets {
            signing: signing.ok_or(BadOption::NoSecret)?.secret()?,
            callback: callback.map(Said::secret).transpose()?,
            auth,
        })
    }

    pub(super) fn answers(&self) -> Answers {
        Answers {
            token: self.token_at.clone(),
            reference: self.reference_at.clone(),
        }
    }

    pub(super) fn status_map(&self) -> BTreeMap<String, OrderStatus> {
        self.statuses.iter().cloned().collect()
    }
}

/// A secret text and the file or variable that it came from.
struct Said {
    text: String,
    source_name: String,
}

impl Said {
    fn secret(self) -> Result<SigningSecret, BadOption> {
        SigningSecret::parse(&self.text).map_err(|cause| BadOption::NotASecret {
            source_name: self.source_name,
            cause,
        })
    }
}

fn read(file: Option<&PathBuf>, variable: &str) -> Result<Option<Said>, BadOption> {
    let (text, source_name) = match file {
        Some(path) => {
            let source_name = path.display().to_string();
            match fs::read_to_string(path) {
                Ok(text) => (text, source_name),
                Err(cause) => return Err(BadOption::Unreadable { source_name, cause }),
            }
        }
        None => match Settings::variable(variable) {
            Some(text) => (text, variable.to_owned()),
            None => return Ok(None),
        },
    };
    let text = text.trim().to_owned();
    Ok((!text.is_empty()).then_some(Said { text, source_name }))
}

fn mapping(text: &str) -> Result<(String, OrderStatus), String> {
    let (word, status) = text
        .split_once('=')
        .ok_or("must be WORD=STATUS, such as DONE=ready")?;
    let status = status
        .parse()
        .map_err(|_| format!("{status:?} is not one of our order statuses"))?;
    Ok((word.to_owned(), status))
}
