"""Proves the alerts in deploy/prometheus with promtool, a real Prometheus and the real programs; see scripts/alerts.

    alerts.py rules             promtool's checks and tests, and that each alert's test notices a broken alert
    alerts.py scrape BINARIES   Prometheus scrapes every program; each metric that is named somewhere must be there
    alerts.py drill BINARIES    makes each fault on purpose and waits for its alert, with shorter times

`scrape` and `drill` need EXPEDITER_TEST_MYSQL_URL and EXPEDITER_TEST_AMQP_URL, `drill` also SERVERS, the folder of
scripts/test-servers, because it kills them. All of it stays on loopback.
"""

import concurrent.futures
import http.server
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.parse

import yaml
from programs import ROOT, Fleet, ask, fail, free_port, say, until, with_processes

DEPLOY = ROOT / "deploy/prometheus"
ALERTS = yaml.safe_load((DEPLOY / "alerts.yml").read_text())["groups"][0]["rules"]
DASHBOARDS = sorted((ROOT / "deploy/grafana").rglob("*.json"))


# --- rules ------------------------------------------------------------------------------------------------------


def promtool(*arguments, where=DEPLOY):
    done = subprocess.run(["promtool", *map(str, arguments)], cwd=where, capture_output=True, text=True, check=False)
    return done.returncode == 0, done.stdout + done.stderr


def rules():
    for arguments in (
        ["check", "config", "prometheus.yml"],
        ["check", "config", "standalone.yml"],
        ["check", "rules", "alerts.yml"],
        ["test", "rules", "alerts.test.yml"],
    ):
        passed, output = promtool(*arguments)
        if not passed:
            fail("promtool", *arguments, "\n" + output)
    # An alert that never fires, one that always does, and one that does not wait must each fail the tests.
    text = (DEPLOY / "alerts.test.yml").read_text()
    tests = yaml.safe_load(text)
    # As texts: to YAML the values 0x60 are one number, 96.
    for test, said in zip(tests["tests"], yaml.load(text, yaml.BaseLoader)["tests"], strict=True):
        if "input_series" in test:
            test["input_series"] = said["input_series"]
    with tempfile.TemporaryDirectory() as folder, concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:

        def passes(index, how, changed):
            name = ALERTS[index]["alert"]
            own = [test for test in tests["tests"] if name in json.dumps(test["promql_expr_test"])]
            here = pathlib.Path(folder) / f"{index} {how}"
            here.mkdir()
            (here / "alerts.test.yml").write_text(json.dumps({**tests, "tests": own}))
            group = {"name": "expediter", "rules": [*ALERTS[:index], changed, *ALERTS[index + 1 :]]}
            (here / "alerts.yml").write_text(json.dumps({"groups": [group]}))
            return promtool("test", "rules", "alerts.test.yml", where=here)

        # As it is, each alert passes its own tests: otherwise they would fail for another reason than a broken alert.
        whole = [(index, "is as it is", alert) for index, alert in enumerate(ALERTS)]
        for (index, *_), (passed, output) in zip(whole, pool.map(lambda it: passes(*it), whole)):
            if not passed:
                fail(f"the tests of {ALERTS[index]['alert']} alone fail:\n{output}")
        broken = []
        for index, alert in enumerate(ALERTS):
            broken += [(index, "never fires", {**alert, "expr": "vector(0) > 1"}), (index, "always fires", {**alert, "expr": "vector(1)", "for": "0s"})]
            if "for" in alert:
                broken.append((index, "does not wait", {**alert, "for": "0s"}))
        for (index, how, _), (passed, _) in zip(broken, pool.map(lambda it: passes(*it), broken)):
            if passed:
                fail(f"alerts.test.yml passes although {ALERTS[index]['alert']} {how}")
    say(f"{len(ALERTS)} alerts pass their tests, which notice each of {len(broken)} broken ones")


# --- Prometheus -------------------------------------------------------------------------------------------------


class Prometheus:
    def __init__(self, processes, name, targets, shorter=None, configuration=None):
        """`targets` are the addresses by job; `configuration` is used as it is, but with one address for all."""
        folder = processes.folder / name
        folder.mkdir()
        rules_text = (DEPLOY / "alerts.yml").read_text()
        (folder / "alerts.yml").write_text(shorter(rules_text) if shorter else rules_text)
        if configuration:
            text = configuration.replace("127.0.0.1:8080", targets)
            text = text.replace("scrape_interval: 10s, evaluation_interval: 10s", "scrape_interval: 1s, evaluation_interval: 1s")
        else:
            jobs = [{"job_name": job, "static_configs": [{"targets": some}]} for job, some in targets.items()]
            every = {"scrape_interval": "1s", "evaluation_interval": "1s"}
            text = yaml.safe_dump({"global": every, "rule_files": ["alerts.yml"], "scrape_configs": jobs})
        (folder / "prometheus.yml").write_text(text)
        port = free_port()
        self.url = f"http://127.0.0.1:{port}/api/v1/"
        processes.start(
            name,
            "prometheus",
            f"--config.file={folder}/prometheus.yml",
            f"--storage.tsdb.path={folder}/data",
            f"--web.listen-address=127.0.0.1:{port}",
            "--log.level=warn",
        )
        until(f"{name} is ready", lambda: self.get("status/runtimeinfo"), 30)

    def get(self, path, **query):
        return ask(self.url + path + ("?" + urllib.parse.urlencode(query) if query else ""))["data"]

    def query(self, expr):
        return self.get("query", query=expr)["result"]

    def targets_down(self, wanted):
        active = self.get("targets")["activeTargets"]
        down = [f"{one['labels']['job']} {one['health']} {one['lastError']}" for one in active if one["health"] != "up"]
        return down or (None if len(active) == wanted else [f"{len(active)} of {wanted} targets"])

    def firing(self):
        return {one["metric"]["alertname"] for one in self.query('ALERTS{alertstate="firing"}')}


def named_metrics():
    texts = [str(alert["expr"]) for alert in ALERTS]
    for path in DASHBOARDS:
        texts += [target["expr"] for panel in json.loads(path.read_text())["panels"] for target in panel.get("targets", [])]
    names = set(re.findall(r"\b(?:expediter|process)_[a-z_]+", " ".join(texts)))
    assert len(names) > 15, names
    return names


# --- scrape -----------------------------------------------------------------------------------------------------


def prove_scrape(prometheus, name, targets, builds):
    until(f"all targets of {name} are up", lambda: prometheus.targets_down(targets) is None, 30)

    def all_are_there():
        missing = named_metrics() - set(prometheus.get("label/__name__/values"))
        if missing:
            raise OSError(f"missing: {sorted(missing)}")
        return True

    until(f"every named metric is scraped by {name}", all_are_there, 60)
    found = len(prometheus.query("expediter_build_info"))
    if found != builds:
        fail(f"{name}: {found} processes with metrics, not {builds}")
    firing = prometheus.firing()
    if firing:
        fail(f"{name}: nothing is wrong, but {firing} fire")


def scrape(processes, binaries):
    fleet = Fleet(processes, binaries)
    one = processes.program(
        "standalone", pathlib.Path(binaries) / "expediter", "--set", "http.api_listen=127.0.0.1:0", "--data-dir", processes.folder / "data"
    )
    # Both start before either is asked: a Prometheus looks for its targets 5 s after its start.
    of_fleet = Prometheus(processes, "fleet", fleet.targets)
    of_one = Prometheus(processes, "one", one, configuration=(DEPLOY / "standalone.yml").read_text())
    fleet.settle(free_port())
    fleet.order()
    prove_scrape(of_fleet, "fleet", targets=5, builds=3)
    prove_scrape(of_one, "standalone", targets=3, builds=1)
    say(f"Prometheus scraped api, worker, notifier, courier, kitchen and standalone; all {len(named_metrics())} named metrics were there")


# --- drill ------------------------------------------------------------------------------------------------------


def shorter(text):
    """Shortens the waits and windows of alerts, so that a drill takes minutes; the conditions stay."""
    text = re.sub(r"for: \d+m", "for: 3s", text)
    text = re.sub(r"\[\d+m\]", "[20s]", text)
    return text.replace("offset 15m", "offset 20s").replace("outbox_oldest_seconds) > 60", "outbox_oldest_seconds) > 10")


class Integrator(http.server.BaseHTTPRequestHandler):
    status = 503

    def do_POST(self):
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.send_response(Integrator.status)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def drill(processes, binaries):
    servers, seen = os.environ["SERVERS"], []
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Integrator)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    fleet = Fleet(processes, binaries, stuck__accepted_s="10", rate_limits__address_per_minute="600")
    fleet.settle(server.server_port)
    prometheus = Prometheus(processes, "prometheus", fleet.targets, shorter)
    until("all targets are up", lambda: prometheus.targets_down(5) is None, 30)
    until("nothing fires", lambda: not prometheus.firing() or None, 60)

    def expect(fault, *alerts, while_waiting=None, seconds=90):
        def fires():
            if while_waiting:
                while_waiting()
            firing = prometheus.firing()
            return set(alerts) <= firing and firing

        firing = until(f"{fault}: {alerts}", fires, seconds)
        seen.extend(alerts)
        say(f"{fault}: {', '.join(sorted(firing))}")

    def mended(*alerts, seconds=90):
        until(f"{alerts} end", lambda: not set(alerts) & prometheus.firing(), seconds)
        say(f"mended: {', '.join(alerts)}")

    def server_do(what, which):
        subprocess.run([ROOT / "scripts/test-servers", what, servers, which], check=True)

    # An integrator answers 503: its breaker opens.
    for _ in range(6):
        fleet.order()
    expect("the integrator answers 503", "BreakerStaysOpen")
    Integrator.status = 200
    mended("BreakerStaysOpen")

    # It answers 422, which is final: handoffs are given up.
    Integrator.status = 422
    expect("the integrator refuses", "HandoffsAreGivenUp", while_waiting=fleet.order)
    # It answers 410: it is disabled.
    Integrator.status = 410
    fleet.order()
    expect("the integrator answers 410", "IntegratorIsDisabled")
    Integrator.status = 200
    fleet.api(f"integrators/{fleet.integrator}", {"enabled": True}, "PATCH")
    mended("HandoffsAreGivenUp", "IntegratorIsDisabled")

    # A client asks too often.
    def hurry():
        for _ in range(40):
            try:
                ask(f"http://{fleet.addresses['api']}/api/v1/sessions/{'0' * 40}")
            except urllib.error.HTTPError as error:
                error.read()

    expect("a client asks too often", "ClientsAreTurnedAway", while_waiting=hurry)

    # The broker dies; an order's events wait.
    server_do("kill", "rabbitmq")
    fleet.order()
    expect("RabbitMQ is killed", "BrokerIsAway", "OutboxGrowsOld")
    server_do("again", "rabbitmq")
    mended("BrokerIsAway", "OutboxGrowsOld")

    # The worker dies; an order waits for it, and is listed when another one comes.
    processes.end("worker", signal.SIGKILL)
    expect("the worker is killed", "NoWorkerIsLive", "ServiceIsGone", "ProcessIsDown", "NothingIsCounted")
    fleet.order()
    for _ in range(3):
        fleet.start("worker")
        time.sleep(2)  # at least one scrape sees this start
        processes.end("worker", signal.SIGKILL)
    fleet.start("worker")
    expect("the worker starts again and again", "ProcessKeepsRestarting")
    mended("NoWorkerIsLive", "ServiceIsGone", "ProcessIsDown", "NothingIsCounted")

    # The database dies.
    server_do("kill", "mariadb")
    expect("MariaDB is killed", "DatabaseErrors")
    server_do("again", "mariadb")
    mended("DatabaseErrors")

    # Some of the orders above stand still by now. People end each, as `next` of GET /stuck says.
    def end_stuck():
        for one in fleet.api("stuck")["items"]:
            fleet.api(f"orders/{one['order_id']}/status", {"status": "cancelled", "reason": "drill"}, "PUT")

    end_stuck()
    mended("OrdersAreStuck")
    # People accept an order, and nobody says more of it.
    order = fleet.order()["id"]
    fleet.api(f"orders/{order}/status", {"status": "accepted"}, "PUT")
    expect("an order stays accepted", "OrdersAreStuck")
    end_stuck()
    mended("OrdersAreStuck")
    missing = {alert["alert"] for alert in ALERTS} - set(seen)
    if missing:
        fail(f"no fault made {missing} fire")
    say(f"each of {len(ALERTS)} alerts fired at a fault made on purpose")


def main(what, binaries=None):
    if what == "rules":
        return rules()
    work = {"scrape": scrape, "drill": drill}[what]
    return with_processes(lambda processes: work(processes, pathlib.Path(binaries).resolve()))


main(*sys.argv[1:])
