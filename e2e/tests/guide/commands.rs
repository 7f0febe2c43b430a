//! Follows docs/quickstart.md and docs/api.md: runs their commands with bash, as a reader would, in a folder of its own.
//!
//! A block with a name ("```sh order") is run, all of a page in one shell. `# prints TEXT` says what a block's output has, in
//! this order. All ports of the pages lie between 8000 and 8099, and are moved to free ones.

use std::{
    fs,
    net::TcpListener,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use e2e::{Folder, built, until_within};
use platform::chance::Chance;
use reqwest::Url;
use store::testing::environment;

use crate::{
    blocks::{blocks, docs},
    languages::is_there,
};

/// Longest time that a page takes: it waits for kitchens, processes and the share of a dead worker.
const PATIENCE: Duration = Duration::from_secs(200);
/// Beginning of the line before the output of each block.
const MARK: &str = "=== block ";
/// Lines before the first block. The start of standalone listens on the page's port.
const PRELUDE: &str = "set -euo pipefail\nexport EXPEDITER__HTTP__API_LISTEN=127.0.0.1:8080\n";
/// Starts the gateway of the quickstart, in place of a reload of the machine's own nginx.
const GATEWAY: &str = r#"cat >nginx.conf <<END
daemon off; master_process off; pid $PWD/nginx.pid; error_log stderr crit; events { worker_connections 512; }
http {
  client_body_temp_path $PWD/body; proxy_temp_path $PWD/proxy; fastcgi_temp_path $PWD/fastcgi;
  uwsgi_temp_path $PWD/uwsgi; scgi_temp_path $PWD/scgi;
  include $PWD/gateway.conf;
}
END
nginx -e stderr -c "$PWD/nginx.conf" &
until curl -sf http://127.0.0.1:8000/healthz >ready; do sleep 0.2; done"#;

/// A page, and how the test's machine differs from a reader's.
struct Page {
    name: &'static str,
    /// Blocks that install what the test has already, each with its replacement.
    replaced: Vec<(&'static str, &'static str)>,
    /// Texts that are replaced everywhere.
    moved: Vec<(String, String)>,
    /// The block before which the test ends, for lack of servers.
    ends_before: Option<&'static str>,
}

impl Page {
    fn new(name: &'static str) -> Self {
        Self {
            name,
            replaced: Vec::new(),
            moved: vec![(
                "127.0.0.1:80".to_owned(),
                format!("127.0.0.1:{}", free_hundred()),
            )],
            ends_before: None,
        }
    }

    /// Runs the blocks, and compares what they print.
    ///
    /// # Panics
    /// If a command fails, or a block does not print what it says.
    async fn follow(&self, folder: &Folder) {
        let text = fs::read_to_string(docs(self.name)).expect("the page is there");
        let found: Vec<(&str, &str)> = blocks(&text)
            .into_iter()
            .take_while(|(name, _)| Some(*name) != self.ends_before)
            .collect();
        assert!(found.len() > 5, "{}: {found:?}", self.name);
        let mut script = PRELUDE.to_owned();
        for (name, commands) in &found {
            let own = self.replaced.iter().find(|(known, _)| known == name);
            let commands = own.map_or(*commands, |(_, own)| *own);
            script.extend(["echo '", MARK, *name, "'\n", commands, "\n"]);
        }
        for (from, to) in &self.moved {
            script = script.replace(from, to);
        }
        let printed = run(&script, folder).await;
        for (name, commands) in found {
            let (_, output) = printed
                .split_once(&format!("{MARK}{name}\n"))
                .unwrap_or_else(|| panic!("{}: {name} was not reached", self.name));
            let output = output.split(MARK).next().unwrap_or_default();
            if let Some(missing) = unkept(commands, output) {
                panic!("{}: {name} does not print {missing}:\n{printed}", self.name);
            }
        }
    }
}

/// Returns the first text that a block says it prints, and does not.
fn unkept<'c>(commands: &'c str, mut output: &str) -> Option<&'c str> {
    let promised = commands
        .lines()
        .filter_map(|line| line.strip_prefix("# prints "));
    for text in promised {
        let Some((_, rest)) = output.split_once(text) else {
            return Some(text);
        };
        output = rest;
    }
    None
}

/// A shell with all that it has started; dropping it kills them.
struct Shell(Child);

impl Drop for Shell {
    fn drop(&mut self) {
        let kill = format!("kill -KILL -- -{}", self.0.id());
        let _ = Command::new("bash")
            .args(["-c", &kill])
            .stderr(Stdio::null())
            .status();
        let _ = self.0.wait();
    }
}

/// Runs a script, ends every process that it has started, and returns what was printed.
///
/// # Panics
/// With all that was printed, if a command fails.
async fn run(script: &str, folder: &Folder) -> String {
    let at = |name: &str| folder.path().join(name);
    let ready = "the test's directory can be written";
    fs::write(at("script"), script).expect(ready);
    fs::create_dir_all(at("bin")).expect(ready);
    fs::create_dir_all(at("work")).expect(ready);
    let printed = fs::File::create(at("printed")).expect(ready);
    let errors = printed.try_clone().expect("a file can be shared");
    let programs = built("expediter");
    let programs = programs.parent().expect("it is in a folder");
    let path = format!(
        "{}:{}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        at("bin").display(),
        programs.display()
    );
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let child = Command::new("bash")
        .arg(at("script"))
        .current_dir(at("work"))
        .env("PATH", path)
        .env("REPO", repository)
        .stdin(Stdio::null())
        .stdout(printed)
        .stderr(errors)
        .process_group(0)
        .spawn();
    let mut shell = Shell(child.expect("bash is there"));
    let ended = until_within(PATIENCE, "the end of the page's commands", || {
        let status = shell.0.try_wait().expect("a child can be waited for");
        async move { status }
    });
    let status = ended.await;
    drop(shell);
    let printed = fs::read_to_string(at("printed")).unwrap_or_default();
    assert!(status.success(), "{status}:\n{printed}");
    printed
}

/// Returns the beginning of a hundred ports that were free a moment ago, such as `231` for 23100 to 23199.
fn free_hundred() -> usize {
    let [random] = Chance::system().bytes::<1>();
    let is_free = |hundred: &usize| {
        let used = [0, 11, 12, 21, 22, 31, 32, 41, 80];
        let mut used = used.iter();
        used.all(|port| TcpListener::bind(format!("127.0.0.1:{hundred}{port:02}")).is_ok())
    };
    // Below the ports that the system gives to outgoing connections.
    let mut hundreds = (0..120).map(|n| 200 + (usize::from(random) + n) % 120);
    hundreds.find(is_free).expect("loopback has free ports")
}

/// A database server's clients for a page's commands, and a name for its database and user; dropping it removes both.
struct Database<'f> {
    folder: &'f Folder,
    name: String,
}

impl<'f> Database<'f> {
    /// Puts `sudo` and `mariadb` for that server into the folder of the page's own programs.
    fn new(folder: &'f Folder, server: &Url) -> Self {
        let bin = folder.path().join("bin");
        fs::create_dir_all(&bin).expect("the test's directory can be written");
        let mariadb = format!(
            "#!/bin/sh\nPATH=${{PATH#*:}}\nexec mariadb --no-defaults --host={} --port={} --user={} --password={} \"$@\"\n",
            server.host_str().unwrap_or_default(),
            server.port().unwrap_or(3306),
            server.username(),
            server.password().unwrap_or_default()
        );
        for (name, script) in [
            ("sudo", "#!/bin/sh\nexec \"$@\"\n"),
            ("mariadb", mariadb.as_str()),
        ] {
            let file = bin.join(name);
            fs::write(&file, script).expect("the test's directory can be written");
            let mode = fs::Permissions::from_mode(0o700);
            fs::set_permissions(&file, mode).expect("the test's directory can be written");
        }
        let random: String = Chance::system().session_code().chars().take(12).collect();
        Self {
            folder,
            name: format!("quickstart_{random}"),
        }
    }
}

impl Drop for Database<'_> {
    fn drop(&mut self) {
        let name = &self.name;
        let remove = format!("DROP DATABASE IF EXISTS {name}; DROP USER IF EXISTS {name}@'%'");
        let bin = self.folder.path().join("bin");
        let _ = Command::new(bin.join("mariadb"))
            .env(
                "PATH",
                format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", bin.display()),
            )
            .args(["--execute", &remove])
            .status();
    }
}

/// Returns the URLs of both servers. If they are not named, prints that the production setup is not tested.
///
/// # Panics
/// In CI, if they are not named.
#[expect(clippy::print_stderr, reason = "a skipped test must be visible")]
fn servers() -> Option<(Url, String)> {
    let mysql: Option<Url> = environment::test_mysql_url().and_then(|url| url.parse().ok());
    let found = mysql.zip(environment::test_amqp_url());
    if found.is_none() {
        assert!(!environment::in_ci(), "CI must not skip the servers");
        eprintln!("SKIPPED: the production setup of the quickstart: no servers are named");
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_commands_of_the_api_guide_do_what_it_says() {
    if !is_there("jq") || !is_there("curl") {
        return;
    }
    Page::new("api.md").follow(&Folder::new()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_commands_of_the_quickstart_lead_to_a_production_setup() {
    if !is_there("jq") || !is_there("curl") || !is_there("openssl") {
        return;
    }
    let folder = Folder::new();
    let mut page = Page::new("quickstart.md");
    page.replaced = vec![
        ("install", ":"),
        (
            "servers",
            "export DATABASE_PASSWORD=$(openssl rand -hex 24) BROKER_PASSWORD=none",
        ),
        ("reload", GATEWAY),
        ("prometheus", ":"),
    ];
    let Some((mysql, amqp)) = servers() else {
        page.ends_before = Some("servers");
        return page.follow(&folder).await;
    };
    let database = Database::new(&folder, &mysql);
    let name = &database.name;
    let at = format!(
        "{}:{}",
        mysql.host_str().unwrap_or_default(),
        mysql.port().unwrap_or(3306)
    );
    let moves = [
        ("DATABASE expediter", format!("DATABASE {name}")),
        ("GRANT ALL ON expediter.", format!("GRANT ALL ON {name}.")),
        ("expediter@'127.0.0.1'", format!("{name}@'%'")),
        ("mysql://expediter:", format!("mysql://{name}:")),
        ("@127.0.0.1:3306/expediter", format!("@{at}/{name}")),
        (
            "url = \"amqp://expediter:$BROKER_PASSWORD@127.0.0.1:5672/%2f\"",
            format!("url = \"{amqp}\"\nnamespace = \"{name}\""),
        ),
    ];
    let moves = moves.map(|(from, to)| (from.to_owned(), to));
    page.moved.extend(moves);
    if !is_there("promtool") {
        page.replaced.push(("alerts", "echo SUCCESS"));
    }
    page.follow(&folder).await;
}

#[test]
fn a_text_that_is_not_printed_is_noticed() {
    let block = "echo a\n# prints a\necho b\n# prints b";
    assert_eq!(unkept(block, "a\nb\n"), None);
    assert_eq!(unkept(block, "b\na\n"), Some("b"));
    assert_eq!(unkept("echo a", ""), None);
}
