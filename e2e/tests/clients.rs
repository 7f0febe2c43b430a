//! Clients that are generated from the OpenAPI document, with their examples: they place an order, follow it although
//! their connections are cut, and check the signature of a webhook.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
};

use e2e::{Expediter, Ground, Integrator, Mood, PythonTools, SOON, Shop, client, until};
use reqwest::Method;
use serde_json::{Value, json};
use store::testing::environment;
use test_line::Line;
use tokio::{sync::mpsc, time::timeout};

fn script(name: &str) -> PathBuf {
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts");
    scripts.join(name)
}

/// Clients in a folder, with their examples.
struct Clients {
    folder: PathBuf,
    tools: PythonTools,
}

impl Clients {
    /// Generates the clients, checks their types and builds the examples; `None`, and a line that says so, if the tools
    /// are not installed.
    #[expect(clippy::print_stderr, reason = "a skipped test must be visible")]
    fn generate(folder: PathBuf) -> Option<Self> {
        let tools = PythonTools::found("the generated clients")?;
        let npm = Command::new(script("npm-tools")).arg("path").output();
        let npm = npm.expect("the script is in the source tree");
        if !npm.status.success() {
            let why = String::from_utf8_lossy(&npm.stderr).into_owned();
            assert!(
                !environment::in_ci(),
                "CI must not skip the generated clients: {why}"
            );
            eprintln!("SKIPPED: the generated clients: {why}");
            return None;
        }
        let made = Command::new(script("clients")).arg(&folder).output();
        let made = made.expect("the script is in the source tree");
        let (out, err) = (&made.stdout, &made.stderr);
        let said = [out, err].map(|said| String::from_utf8_lossy(said).into_owned());
        assert!(made.status.success(), "{}", said.concat());
        Some(Self { folder, tools })
    }

    /// Returns the examples' commands, without arguments.
    fn examples(&self) -> [Command; 2] {
        let mut typescript = Command::new("node");
        typescript.arg(self.folder.join("typescript/dist/example.js"));
        let mut python = self.tools.beside(&self.folder.join("python"), "python3");
        python.arg(self.folder.join("python/example.py"));
        [typescript, python]
    }
}

/// A running example; dropping it kills it.
struct Example {
    child: Option<Child>,
    lines: mpsc::UnboundedReceiver<String>,
}

impl Example {
    fn start(mut command: Command) -> Self {
        let started = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let mut child = started.expect("its interpreter is installed");
        let output = BufReader::new(child.stdout.take().expect("it is piped"));
        let (told, lines) = mpsc::unbounded_channel();
        thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                let _ = told.send(line);
            }
        });
        let child = Some(child);
        Self { child, lines }
    }

    /// Returns the next line that it prints; `None` at its end.
    async fn line(&mut self) -> Option<String> {
        let line = timeout(SOON, self.lines.recv()).await;
        line.expect("a line in time")
    }

    /// Returns the number and the status of the next event that it prints.
    async fn event(&mut self) -> Option<(i64, String)> {
        let line = self.line().await?;
        let (number, status) = line.split_once(' ').expect("a number and a status");
        Some((number.parse().expect("a number"), status.to_owned()))
    }

    /// Returns its error output if it failed; it has closed its output.
    fn end(mut self) -> Result<(), String> {
        let child = self.child.take().expect("it ends once");
        let ended = child.wait_with_output().expect("a child can be waited for");
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        ended.status.success().then_some(()).ok_or(said)
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

async fn set_status(expediter: &Expediter, order_id: &str, status: &str) {
    let path = format!("/api/v1/orders/{order_id}/status");
    let request = expediter
        .request(Method::PUT, &path)
        .basic_auth("operator", Some(expediter.password("operator")))
        .json(&json!({"status": status}));
    let (code, order) = expediter.answer(request).await;
    assert_eq!(code, 200, "{order}");
}

/// Writes a message that the integrator received, as the examples read it.
fn webhook(shop: &Shop, integrator: &Integrator, order_id: &str) -> Value {
    let received = &integrator.received_for(order_id)[0];
    json!({
        "secret": shop.signing_secret,
        "headers": {
            "webhook-id": received.webhook_id,
            "webhook-timestamp": received.timestamp,
            "webhook-signature": received.signature,
        },
        "body": String::from_utf8(received.body.clone()).expect("JSON"),
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_examples_of_the_generated_clients_follow_an_order_to_its_end_although_they_are_cut_off()
 {
    let ground = Ground::embedded();
    let Some(clients) = Clients::generate(ground.folder().join("clients")) else {
        return;
    };
    let expediter = ground.launch().start().await;
    let integrator = Integrator::start(expediter.launch().clock());
    let shop = Shop::open(&expediter, &integrator, 0).await;
    integrator.always(Mood::Answers(200));
    let orders = format!("{}{}", expediter.url, shop.guests_path());
    let first = shop.place(client().post(orders)).await;
    until_accepted(&expediter, &first).await;
    let good = webhook(&shop, &integrator, &first);
    let [file, forged] = ["good.json", "forged.json"].map(|name| ground.folder().join(name));
    std::fs::write(&file, good.to_string()).expect("the folder is ours");
    let changed = good.to_string().replace("order.placed", "order.paid");
    std::fs::write(&forged, changed).expect("the folder is ours");

    let address = expediter.url.trim_start_matches("http://").parse();
    let line = Line::to(vec![address.expect("an address")]).await;
    let api = format!("http://{}/api/v1", line.address);
    let arguments = [&*api, &shop.session_code];
    for mut command in clients.examples() {
        command.args(arguments).arg(&forged);
        let mut example = Example::start(command);
        assert_eq!(example.line().await, None, "it takes no changed message");
        let why = example.end().unwrap_err();
        assert!(why.to_lowercase().contains("signature"), "{why}");
    }
    for mut command in clients.examples() {
        command.args(arguments).arg(&file);
        let mut example = Example::start(command);
        let webhook = example.line().await;
        assert_eq!(webhook.as_deref(), Some("webhook order.placed"));
        let placed = example.line().await.expect("it says what it placed");
        let order_id = placed.strip_prefix("placed ").expect("an order");
        let mut seen = vec![example.event().await.expect("the order, live")];
        line.cut();
        // While it is away, and after it has come back.
        until_accepted(&expediter, order_id).await;
        set_status(&expediter, order_id, "preparing").await;
        while seen.last().is_some_and(|(_, status)| status != "preparing") {
            seen.push(example.event().await.expect("it goes on"));
        }
        line.cut();
        set_status(&expediter, order_id, "ready").await;
        while let Some(event) = example.event().await {
            seen.push(event);
        }
        assert_eq!(example.end(), Ok(()));
        let numbers: Vec<_> = seen.iter().map(|(number, _)| *number).collect();
        let expected: Vec<_> = (numbers[0]..).take(seen.len()).collect();
        assert_eq!(numbers, expected, "each event once and in order: {seen:?}");
        assert_eq!(seen.last().unwrap().1, "ready", "{seen:?}");
    }
}

async fn until_accepted(expediter: &Expediter, order_id: &str) {
    let path = format!("/api/v1/orders/{order_id}");
    until("the order to be accepted", || async {
        let request = expediter.request(Method::GET, &path);
        let request = request.basic_auth("operator", Some(expediter.password("operator")));
        let (_, order) = expediter.answer(request).await;
        (order["status"] == "accepted").then_some(())
    })
    .await;
}
