//! Tests of how `api`, `worker` and `notifier` start: version, help, and the settings that each refuses in one line.
//!
//! ```ignore
//! ledger::testing::starting_alone!("api");
//! ```
//! in a crate's `tests/` generates these tests for its binary.

use std::{
    net::TcpListener,
    path::Path,
    process::{Command, Output},
    time::{Duration, Instant},
};

const DATABASE: (&str, &str) = (
    "EXPEDITER__DATABASE__URL",
    "mysql://nobody:hidden@127.0.0.1:1/none",
);
const BROKER: (&str, &str) = ("EXPEDITER__BROKER__URL", "amqp://127.0.0.1:1");
const ENCRYPTION_KEY: &str = "EXPEDITER__SECRETS__ENCRYPTION_KEY";
const JWT_KEY: &str = "EXPEDITER__SECRETS__JWT_KEY";
const KEY: &str = "ZXhwZWRpdGVyIGVuZC10by1lbmQgdGVzdHMgb25seSE=";
/// 31 bytes.
const SHORT_KEY: &str = "ZXhwZWRpdGVyIGVuZC10by1lbmQgdGVzdHMgb25seQ==";
/// Everything that a start needs except a reachable database.
const REST: [(&str, &str); 8] = [
    BROKER,
    (ENCRYPTION_KEY, KEY),
    (JWT_KEY, KEY),
    ("EXPEDITER__HTTP__API_LISTEN", "127.0.0.1:0"),
    ("EXPEDITER__HTTP__WORKER_LISTEN", "127.0.0.1:0"),
    ("EXPEDITER__HTTP__NOTIFIER_LISTEN", "127.0.0.1:0"),
    ("EXPEDITER__TELEMETRY__FILTER", "off"),
    ("EXPEDITER__DATABASE__CONNECT_TIMEOUT_MS", "300"),
];

/// Generates one test per check; see the module.
#[macro_export]
macro_rules! starting_alone {
    ($name:literal) => {
        $crate::starting_alone! { $name:
            is_for_mysql_and_rabbitmq_only
            refuses_an_unknown_setting_wherever_it_is_said
            does_not_start_without_both_keys
            refuses_a_key_of_another_length_and_does_not_repeat_it
            says_which_database_is_not_there_without_its_password
            gives_up_a_database_that_says_nothing_within_its_time_out
            tells_its_version_and_its_options_without_settings
        }
    };
    ($name:literal: $($test:ident)+) => {$(
        #[test]
        fn $test() {
            $crate::testing::start::Program {
                name: $name,
                file: env!(concat!("CARGO_BIN_EXE_", $name)).as_ref(),
            }
            .$test();
        }
    )+};
}

/// A binary under test.
#[derive(Clone, Copy, Debug)]
pub struct Program<'a> {
    pub name: &'a str,
    pub file: &'a Path,
}

impl Program<'_> {
    fn run(&self, settings: &[(&str, &str)], arguments: &[&str]) -> Output {
        Command::new(self.file)
            .args(arguments)
            .envs(settings.iter().copied())
            .output()
            .expect("it was built for this test")
    }

    fn refuses(&self, settings: &[(&str, &str)], words: &[&str]) {
        is_refused_with(&self.run(settings, &[]), words);
    }

    pub fn is_for_mysql_and_rabbitmq_only(&self) {
        let of_database = format!("{}: database.url is sqlite://", self.name);
        self.refuses(&[], &[&of_database, "mysql://"]);
        let of_broker = format!("{}: broker.url is embedded:", self.name);
        self.refuses(&[DATABASE], &[&of_broker, "amqp://"]);
    }

    pub fn refuses_an_unknown_setting_wherever_it_is_said(&self) {
        let ended = self.run(&[], &["--set", "http.api_lisen=127.0.0.1:1"]);
        is_refused_with(&ended, &["http.api_lisen is an unknown key"]);
        let uri = ("EXPEDITER__DATABASE__URI", "mysql://a@b/c");
        self.refuses(&[uri], &["database.uri is an unknown key"]);
    }

    pub fn does_not_start_without_both_keys(&self) {
        let servers = [DATABASE, BROKER];
        self.refuses(
            &servers,
            &["secrets.encryption_key is not set", "openssl rand"],
        );
        let one_key = [DATABASE, BROKER, (ENCRYPTION_KEY, KEY)];
        self.refuses(&one_key, &["secrets.jwt_key is not set"]);
    }

    pub fn refuses_a_key_of_another_length_and_does_not_repeat_it(&self) {
        for (name, setting) in [
            (ENCRYPTION_KEY, "secrets.encryption_key"),
            (JWT_KEY, "secrets.jwt_key"),
        ] {
            for wrong in [SHORT_KEY, "no base64!"] {
                // If a variable is given twice, the later value wins.
                let settings = [&[DATABASE][..], &REST, &[(name, wrong)]].concat();
                let ended = self.run(&settings, &[]);
                is_refused_with(&ended, &[setting, "32 bytes"]);
                let said = String::from_utf8_lossy(&ended.stderr);
                assert!(!said.contains(wrong), "{said}");
            }
        }
    }

    pub fn says_which_database_is_not_there_without_its_password(&self) {
        let said = "the database mysql://nobody:***@127.0.0.1:1/none cannot be used";
        let said = format!("{}: {said}", self.name);
        self.refuses(&[&[DATABASE][..], &REST].concat(), &[&said]);
    }

    pub fn gives_up_a_database_that_says_nothing_within_its_time_out(&self) {
        // Never accepts: a connection stays in the backlog forever.
        let silent = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let address = silent.local_addr().expect("it is bound");
        let url = format!("mysql://nobody:hidden@{address}/none");
        let database = ("EXPEDITER__DATABASE__URL", url.as_str());
        let began = Instant::now();
        self.refuses(&[&[database][..], &REST].concat(), &["cannot be used"]);
        let took = began.elapsed();
        assert!(took >= Duration::from_millis(300), "it waited {took:?}");
        assert!(took < Duration::from_secs(10), "it waited {took:?}");
    }

    pub fn tells_its_version_and_its_options_without_settings(&self) {
        let version = self.run(&[], &["--version"]);
        let said = String::from_utf8_lossy(&version.stdout);
        let expected = format!("{} {}", self.name, env!("CARGO_PKG_VERSION"));
        assert_eq!(said.trim(), expected);
        let help = self.run(&[], &["--help"]);
        let said = String::from_utf8_lossy(&help.stdout);
        for word in ["--config", "--set", "EXPEDITER__SECTION__KEY"] {
            assert!(said.contains(word), "{word}: {said}");
        }
    }
}

fn is_refused_with(ended: &Output, words: &[&str]) {
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(2), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(ended.stdout.is_empty(), "it announced that it runs");
    for word in words {
        assert!(said.contains(word), "{word}: {said}");
    }
}
