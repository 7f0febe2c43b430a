//! The separate binaries: several of each run side by side on shared servers.

use std::{
    io::{self, Write},
    net::SocketAddr,
    process::ExitCode,
    sync::Arc,
};

use clap::{Args, Command, FromArgMatches};
use poem::IntoEndpoint;

use super::{
    Foundation, Process, Refusal, SettingsArgs, begin, bind, command_line::AFTER_HELP,
    print_refusal, refusal::EXIT_CODE, stop_on_signals,
};
use crate::config::{BrokerKind, DatabaseKind, Http, Settings};

const API_LISTEN: &str = "http.api_listen";

/// Description of one binary.
#[derive(Clone, Copy, Debug)]
pub struct Binary {
    pub name: &'static str,
    pub version: &'static str,
    /// Description for `--help`.
    pub about: &'static str,
    /// The setting that holds its listen address.
    pub listen_setting: &'static str,
    pub listen: fn(&Http) -> SocketAddr,
    /// True if it commits changes that others are told of.
    pub publishes: bool,
}

/// Runs a process from start to end: `add` spawns its own tasks and returns the endpoint that it serves.
pub async fn run<E>(
    binary: Binary,
    add: impl AsyncFnOnce(&Process, &Arc<Settings>) -> Result<E, Refusal>,
) -> ExitCode
where
    E: IntoEndpoint + Send + 'static,
    E::Endpoint: 'static,
{
    let matches = command(&binary).get_matches();
    let line = SettingsArgs::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    match start_and_serve(&binary, &line, add).await {
        Ok(code) => code,
        Err(refusal) => {
            print_refusal(binary.name, &refusal);
            ExitCode::from(EXIT_CODE)
        }
    }
}

async fn start_and_serve<E>(
    binary: &Binary,
    line: &SettingsArgs,
    add: impl AsyncFnOnce(&Process, &Arc<Settings>) -> Result<E, Refusal>,
) -> Result<ExitCode, Refusal>
where
    E: IntoEndpoint + Send + 'static,
    E::Endpoint: 'static,
{
    let settings = Arc::new(line.settings(&[])?);
    refuse_single_process_backends(binary, &settings)?;
    let keys = crate::keys::from_settings(&settings.secrets)?;
    begin(&settings.telemetry, &settings.testing)?;
    let http = &settings.http;
    let listening = bind(binary.listen_setting, (binary.listen)(http), http).await?;
    let shutdown = stop_on_signals(&settings)?;
    let address = listening.url();
    let public_url = public_url(binary, http, listening.address());

    let foundation = Foundation::build(&settings, keys, &public_url, binary.publishes).await?;
    let service = format!("expediter-{}", binary.name);
    let process = Process::start(foundation, shutdown, &service, &settings.telemetry);
    let endpoint = add(&process, &settings).await?;
    process.serve(listening, endpoint, &settings);
    // A program that waits for this line may send requests from now on. A closed standard output is ignored.
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{} {}: {address}/readyz", binary.name, binary.version)
        .and_then(|()| out.flush());
    drop(out);
    Ok(process.finish().await)
}

/// Returns the URL for guests and callbacks. If it is not set, that is the address of the api, which is then on this
/// machine; another kind of process serves only its probes at its own address.
fn public_url(binary: &Binary, http: &Http, listens_at: SocketAddr) -> String {
    match &http.public_url {
        Some(url) => url.expose().trim_end_matches('/').to_owned(),
        None if binary.listen_setting == API_LISTEN => format!("{}://{listens_at}", http.scheme()),
        None => format!("{}://{}", http.scheme(), http.api_listen),
    }
}

fn command(binary: &Binary) -> Command {
    let command = Command::new(binary.name)
        .version(binary.version)
        .about(binary.about)
        .after_help(AFTER_HELP);
    SettingsArgs::augment_args(command)
}

/// Refuses SQLite and the embedded broker, which only one process can use.
fn refuse_single_process_backends(binary: &Binary, settings: &Settings) -> Result<(), Refusal> {
    let refused = |setting, given: String, wanted| {
        Err(Refusal::OneProcessOnly {
            binary: binary.name,
            setting,
            given,
            wanted,
        })
    };
    if settings.database.kind() == DatabaseKind::Sqlite {
        let given = settings.database.url.to_string();
        return refused(
            "database.url",
            given,
            "mysql://user:password@host:3306/name",
        );
    }
    if settings.broker.kind() == BrokerKind::Embedded {
        let given = settings.broker.url.to_string();
        return refused("broker.url", given, "amqp://user:password@host:5672/vhost");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const API: Binary = Binary {
        name: "api",
        version: "1",
        about: "…",
        listen_setting: "http.api_listen",
        listen: |http| http.api_listen,
        publishes: true,
    };

    #[test]
    fn the_command_line_is_consistent() {
        command(&API).debug_assert();
    }

    #[test]
    fn callbacks_come_to_the_api_whichever_process_hands_the_order_over() {
        let listens_at = "127.0.0.1:9999".parse().unwrap();
        let worker = Binary {
            name: "worker",
            listen_setting: "http.worker_listen",
            ..API
        };
        let of = |binary: &Binary, said: &[(&str, &str)]| {
            public_url(binary, &Settings::with(said).unwrap().http, listens_at)
        };
        let api_listen = [("http.api_listen", "127.0.0.1:8000")];
        assert_eq!(of(&API, &api_listen), "http://127.0.0.1:9999");
        assert_eq!(of(&worker, &api_listen), "http://127.0.0.1:8000");
        let secured = [
            ("http.tls_cert_file", "/etc/cert.pem"),
            ("http.tls_key_file", "/etc/key.pem"),
        ];
        assert_eq!(of(&API, &secured), "https://127.0.0.1:9999");
        assert_eq!(of(&worker, &secured), "https://127.0.0.1:8080");
        let public = [("http.public_url", "https://order.example/")];
        for binary in [&API, &worker] {
            assert_eq!(of(binary, &public), "https://order.example");
        }
    }

    #[test]
    fn what_belongs_to_one_process_is_refused_by_its_setting() {
        let mysql = ("database.url", "mysql://a@127.0.0.1/x");
        for (said, setting) in [
            (&[][..], "database.url is sqlite:"),
            (&[mysql], "broker.url is embedded:"),
        ] {
            let settings = Settings::with(said).unwrap();
            let refusal = refuse_single_process_backends(&API, &settings)
                .unwrap_err()
                .to_string();
            assert!(
                refusal.starts_with(setting) && !refusal.contains('\n'),
                "{refusal}"
            );
        }
        let both = [mysql, ("broker.url", "amqp://127.0.0.1/x")];
        assert!(refuse_single_process_backends(&API, &Settings::with(&both).unwrap()).is_ok());
    }
}
