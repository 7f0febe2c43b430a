"""Starts and asks the real programs, for the tests of scripts; they end with the test. All of it stays on loopback."""

import base64
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]


def say(*words):
    print(f"{pathlib.Path(sys.argv[0]).stem}:", *words, file=sys.stderr, flush=True)


def fail(*words):
    say("FAILED:", *words)
    sys.exit(1)


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def ask(url, body=None, method=None, password=None, user="operator"):
    request = urllib.request.Request(url, method=method)
    if body is not None:
        request.data = json.dumps(body).encode()
        request.add_header("content-type", "application/json")
    if password:
        request.add_header("authorization", "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode())
    with urllib.request.urlopen(request, timeout=10) as answer:
        text = answer.read()
        return json.loads(text) if text else None


def until(what, check, seconds):
    """Calls `check` until it returns something true; fails with its last word after `seconds`."""
    end, last = time.monotonic() + seconds, None
    while time.monotonic() < end:
        try:
            last = check()
            if last:
                return last
        except OSError as error:
            last = error
        time.sleep(0.2)
    fail(f"{what}: not within {seconds} s ({last})")


class Processes:
    """Started programs; they end with this one."""

    def __init__(self, folder):
        self.folder, self.running = pathlib.Path(folder), {}

    def start(self, name, *command, env=None):
        # A log of its own for each start: the address is read from it.
        log = self.folder / f"{name}.{time.monotonic_ns()}.log"
        with log.open("wb") as out:
            command = list(map(str, command))
            self.running[name] = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, cwd=self.folder, env={**os.environ, **(env or {})}
            )
        return log

    def program(self, name, *command, env=None):
        """Starts one of ours; returns its host:port."""
        log = self.start(name, *command, env=env)

        def address():
            if self.running[name].poll() is not None:
                fail(f"{name} ended: {log.read_text()[-2000:]}")
            found = re.search(r"http://(127\.0\.0\.1:\d+)/readyz", log.read_text())
            return found and found[1]

        return until(f"{name} prints its address", address, 60)

    def end(self, name, how=signal.SIGTERM):
        one = self.running.pop(name, None)
        if one and one.poll() is None:
            one.send_signal(how)
            try:
                one.wait(30)
            except subprocess.TimeoutExpired:
                one.kill()
                one.wait()

    def end_all(self):
        for one in self.running.values():
            one.send_signal(signal.SIGCONT)
        for name in list(self.running):
            self.end(name, signal.SIGKILL)


class Fleet:
    """One api, worker and notifier on MySQL and RabbitMQ, a courier and a kitchen (with `integrators`)."""

    def __init__(self, processes, binaries, integrators=True, **settings):
        self.processes, self.binaries = processes, pathlib.Path(binaries)
        self.amqp = os.environ["EXPEDITER_TEST_AMQP_URL"]
        server = urllib.parse.urlsplit(os.environ["EXPEDITER_TEST_MYSQL_URL"])
        database = f"alerts_{os.getpid()}"
        statement = [f"--host={server.hostname}", f"--port={server.port}", f"--user={server.username}", f"--password={server.password}"]
        subprocess.run(["mariadb", "--no-defaults", *statement, f"--execute=CREATE DATABASE {database}"], check=True)
        key = lambda: base64.b64encode(os.urandom(32)).decode()
        self.env = {
            "EXPEDITER__DATABASE__URL": os.environ["EXPEDITER_TEST_MYSQL_URL"] + database,
            "EXPEDITER__BROKER__URL": self.amqp,
            "EXPEDITER__BROKER__NAMESPACE": database,
            "EXPEDITER__SECRETS__ENCRYPTION_KEY": key(),
            "EXPEDITER__SECRETS__JWT_KEY": key(),
            "EXPEDITER__WORKER__ALLOW_HTTP": "true",
            "EXPEDITER__WORKER__ALLOW_NETWORKS": '["127.0.0.0/8"]',
            **{f"EXPEDITER__{name.upper()}": value for name, value in settings.items()},
        }
        # The same address after a restart: Prometheus' target stays.
        self.addresses = {kind: f"127.0.0.1:{free_port()}" for kind in ("api", "worker", "notifier")}
        for kind, address in self.addresses.items():
            self.env[f"EXPEDITER__HTTP__{kind.upper()}_LISTEN"] = address
        for kind in self.addresses:
            self.start(kind)
        self.targets = {kind: [address] for kind, address in self.addresses.items()}
        if integrators:
            self.start_integrators()

    def start_integrators(self):
        courier, kitchen = (f"127.0.0.1:{free_port()}" for _ in range(2))
        secret = "whsec_" + base64.b64encode(os.urandom(32)).decode()
        env = {"COURIER_LISTEN": courier, "COURIER_SIGNING_SECRET": secret, "COURIER_CALLBACK_SECRET": secret}
        self.processes.start("courier", self.binaries / "courier", "--database", self.processes.folder / "courier.db", env=env)
        env = {"KITCHEN_LISTEN": kitchen, "KITCHEN_SIGNING_SECRET": secret, "KITCHEN_CALLBACK_SECRET": secret}
        self.processes.start("kitchen", self.binaries / "kitchen", env=env)
        for kind, address in (("courier", courier), ("kitchen", kitchen)):
            metrics = f"http://{address}/metrics"
            until(f"the {kind} serves", lambda: urllib.request.urlopen(metrics, timeout=2).read(), 30)
            self.targets[kind] = [address]

    def start(self, kind):
        self.processes.program(kind, self.binaries / kind, env=self.env)

    def settle(self, integrator_port):
        """Makes an account, a store with a product, a table and an integrator at this port of loopback."""
        command = [self.binaries / "expediter", "operator", "operator"]
        self.password = subprocess.run(command, env={**os.environ, **self.env}, check=True, capture_output=True, text=True).stdout.strip()
        store = self.api("stores", {"name": "Drill", "timezone": "Europe/Berlin", "currency": "EUR"})["id"]
        price = {"amount": 250, "currency": "EUR"}
        self.product = self.api("products", {"store_id": store, "name": "Espresso", "price": price, "stock": None})["id"]
        self.code = self.api("sessions", {"store_id": store, "name": "Table 1"})["code"]
        url = f"http://127.0.0.1:{integrator_port}/orders"
        self.integrator = self.api("integrators", {"store_id": store, "name": "Drill", "kind": "kitchen", "url": url})["integrator"]["id"]

    def api(self, path, body=None, method=None):
        return ask(f"http://{self.addresses['api']}/api/v1/{path}", body, method, self.password)

    def order(self):
        return ask(
            f"http://{self.addresses['api']}/api/v1/sessions/{self.code}/orders", {"items": [{"product_id": self.product, "quantity": 1}]}
        )


def with_processes(work):
    """Calls `work` with processes that all end afterwards, also after a SIGTERM."""
    # The default would leave the started programs running.
    for one in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(one, lambda *_: sys.exit(130))
    with tempfile.TemporaryDirectory(prefix="expediter-test.") as folder:
        processes = Processes(folder)
        try:
            work(processes)
        finally:
            processes.end_all()
