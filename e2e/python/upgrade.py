"""Lets the previous release's programs and the new ones work beside each other, there and back; see scripts/upgrade.

    upgrade.py PREVIOUS NEW     two folders with expediter, api, worker and notifier
"""

import http.server
import json
import os
import pathlib
import subprocess
import sys
import threading
import urllib.error

from programs import Fleet, ask, fail, free_port, say, until, with_processes

KINDS = ("api", "worker", "notifier")
ORDERS = 20  # in each phase


class Integrator(http.server.BaseHTTPRequestHandler):
    """Acknowledges everything, and counts the messages of each order."""

    placed = {}

    def do_POST(self):
        message = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if message["event"] == "order.placed":
            ids = Integrator.placed.setdefault(message["order"]["id"], set())
            ids.add(self.headers["webhook-id"])
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


class Both:
    """The programs of both releases on one database and one broker; `running` has the addresses of those that run."""

    def __init__(self, processes, previous, new):
        self.processes, self.folders = processes, {"previous": previous, "new": new}
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Integrator)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        # It starts the first three, with their settings, and makes a store.
        self.fleet = Fleet(processes, previous, integrators=False)
        self.fleet.settle(server.server_port)
        self.running = {("previous", kind): self.fleet.addresses[kind] for kind in KINDS}
        self.names, self.accepted = {("previous", kind): kind for kind in KINDS}, []

    def start(self, release):
        for kind in KINDS:
            name, address = f"{release}-{kind}", f"127.0.0.1:{free_port()}"
            env = {**self.fleet.env, f"EXPEDITER__HTTP__{kind.upper()}_LISTEN": address}
            self.processes.program(name, self.folders[release] / kind, env=env)
            self.running[release, kind], self.names[release, kind] = address, name

    def stop(self, release):
        for kind in KINDS:
            self.processes.end(self.names.pop((release, kind)))
            del self.running[release, kind]

    def order(self, what):
        """Orders through each api that runs, and waits until every order is accepted and every event is there."""
        apis = [address for (_, kind), address in self.running.items() if kind == "api"]
        body = {"items": [{"product_id": self.fleet.product, "quantity": 1}]}
        for n in range(ORDERS):
            path = f"http://{apis[n % len(apis)]}/api/v1/sessions/{self.fleet.code}/orders"
            try:
                self.accepted.append(ask(path, body)["id"])
            except urllib.error.HTTPError as error:
                fail(f"{what}: an order is refused: {error.read().decode()}")
        for api in apis:
            base = f"http://{api}/api/v1/"

            def all_accepted():
                orders = [ask(f"{base}orders/{one}", password=self.fleet.password) for one in self.accepted]
                waiting = [one["status"] for one in orders if one["status"] not in ("accepted", "delivered")]
                if waiting:
                    raise OSError(f"{len(waiting)} orders are {set(waiting)}")
                return True

            until(f"{what}: all orders are accepted", all_accepted, 60)
            numbers, page = [], {"last": 0, "epoch": None, "has_more": True}
            while page["has_more"]:
                epoch = f"&epoch={page['epoch']}" if page["epoch"] else ""
                page = ask(f"{base}sessions/{self.fleet.code}/events?limit=100&after={page['last']}{epoch}")
                numbers += [one["seq"] for one in page["items"]]
            if len(numbers) != len(set(numbers)) or numbers != sorted(numbers):
                fail(f"{what}: the table's events are {numbers}")
        self.audit(what)

    def audit(self, what):
        for release in {release for release, _ in self.running}:
            audit = subprocess.run(
                [self.folders[release] / "expediter", "audit"], env={**os.environ, **self.fleet.env}, capture_output=True, text=True, check=False
            )
            if audit.returncode:
                fail(f"{what}: the audit of the {release} release: {audit.stdout}{audit.stderr}")
        say(f"{what}: {len(self.accepted)} orders, all of them accepted; the audit finds nothing")


def upgrade(processes, previous, new):
    both = Both(processes, previous, new)
    both.order("the previous release alone")
    both.start("new")
    both.order("both releases on the new schema")
    both.stop("previous")
    both.order("the new release alone")
    both.start("previous")
    both.order("both releases, on the way back")
    both.stop("new")
    both.order("the previous release on the new schema")
    told = Integrator.placed
    missing = [one for one in both.accepted if one not in told]
    twice = [one for one, ids in told.items() if len(ids) > 1]
    if missing or twice:
        fail(f"the integrator was not told of {missing}, and by two messages of {twice}")
    say(f"there and back: the integrator was told of all {len(both.accepted)} orders, by one message each")


def main(previous, new):
    folders = [pathlib.Path(one).resolve() for one in (previous, new)]
    with_processes(lambda processes: upgrade(processes, *folders))


main(*sys.argv[1:])
