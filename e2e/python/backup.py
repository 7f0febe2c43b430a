"""Tests scripts/backup and scripts/restore under load, on SQLite and on the MySQL of EXPEDITER_TEST_MYSQL_URL.

backup.py BINARIES
"""

import gzip
import os
import pathlib
import re
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.parse

from programs import ROOT, ask, fail, say, until, with_processes

UNLIMITED = {
    "RATE_LIMITS__SESSION_ORDERS_PER_MINUTE": "0",
    "RATE_LIMITS__GUEST_PER_MINUTE": "0",
    "RATE_LIMITS__ADDRESS_PER_MINUTE": "0",
    "LIMITS__UNFINISHED_ORDERS_PER_SESSION": "100000",
}
GUESTS = 4


def script(name, *arguments, program=None, fails=None):
    """Runs a script; `fails` is what it must say when it must fail."""
    env = {**os.environ, "EXPEDITER": str(program or "/nonexistent")}
    command = [str(ROOT / "scripts" / name), *map(str, arguments)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    output = done.stdout + done.stderr
    if fails and (done.returncode == 0 or fails not in output):
        fail(f"{name} {arguments} must fail with '{fails}', but: {done.returncode} {output}")
    if not fails and done.returncode:
        fail(f"{name} {arguments}: {output}")
    return output


class Load:
    """Guests who order until they are told to stop; bounded by a number of orders."""

    def __init__(self, address, text, most=2000):
        code = re.search(r"sessions/([0-9a-f]{40})/orders", text)[1]
        product = re.search(r'"product_id":"([^"]+)"', text)[1]
        self.url = f"http://{address}/api/v1/sessions/{code}/orders"
        self.body = {"items": [{"product_id": product, "quantity": 1}]}
        self.accepted, self.done, self.most = [], threading.Event(), most
        self.guests = [threading.Thread(target=self.guest, daemon=True) for _ in range(GUESTS)]

    def order(self):
        self.accepted.append(normal(ask(self.url, self.body)["id"]))

    def guest(self):
        while not self.done.is_set() and len(self.accepted) < self.most:
            try:
                self.order()
            except urllib.error.HTTPError as error:
                if error.code not in (429, 503):
                    raise
                self.done.wait(0.2)
            except OSError:
                if not self.done.is_set():
                    raise

    def __enter__(self):
        for one in self.guests:
            one.start()
        return self

    def __exit__(self, *_):
        self.done.set()
        for one in self.guests:
            one.join(20)


class Installation:
    """One `expediter` with its demonstration, on a database of either kind."""

    def __init__(self, processes, program, name, url, keys=None):
        self.processes, self.program, self.name = processes, program, name
        self.url, self.data = url, processes.folder / f"{name}-data"
        settings = {"DATABASE__URL": url, **UNLIMITED}
        self.env = {f"EXPEDITER__{key}": value for key, value in settings.items()}
        if keys:
            self.data.mkdir(mode=0o700, exist_ok=True)
            for file in keys.iterdir():
                if file.suffix in (".key", ".json"):
                    (self.data / file.name).write_bytes(file.read_bytes())
                    (self.data / file.name).chmod(0o600)

    def start(self):
        address = self.processes.program(
            self.name, self.program, "--set", "http.api_listen=127.0.0.1:0", "--data-dir", self.data, env=self.env
        )
        log = max(self.processes.folder.glob(f"{self.name}.*.log"))
        until(f"{self.name} prints how to order", lambda: "product_id" in log.read_text(), 30)
        return address, log.read_text()


def prove(processes, program, kind, url, empty_url, ids):
    """Places orders, makes a backup meanwhile, restores it, and goes on with the copy."""
    one = Installation(processes, program, kind, url)
    address, text = one.start()
    file = processes.folder / f"{kind}.backup"
    with Load(address, text) as load:
        until("guests have ordered", lambda: len(load.accepted) >= 50, 60)
        before, at = set(load.accepted), len(load.accepted)
        script("backup", file, url)
        after = len(load.accepted)
        until("guests order on", lambda: len(load.accepted) >= after + 20 or len(load.accepted) >= load.most, 60)

    def tickets():
        shown = [one["order_id"] for one in ask(f"http://{address}/kitchen/board")["orders"]]
        return {normal(one) for one in shown} & set(load.accepted[after + GUESTS :]) and shown

    kitchen = until("the kitchen has an order that is not in the backup", tickets, 120)
    if file.stat().st_mode & 0o077:
        fail("others may read the backup")
    script("backup", file, url, fails="do not replace each other")
    script("restore", file, url, program=program, fails="a restore replaces nothing")
    processes.end(kind, signal.SIGKILL)

    # A backup that is cut off or damaged is refused, and leaves nothing.
    cut = processes.folder / f"{kind}.cut"
    whole = file.read_bytes()
    cut.write_bytes(whole[: len(whole) // 2])
    script("restore", cut, empty_url, program=program, fails="is damaged" if kind == "sqlite" else "is not a whole dump")
    flipped = bytearray(whole)
    flipped[len(whole) // 3] ^= 1
    cut.write_bytes(flipped)
    script("restore", cut, empty_url, program=program, fails="is damaged" if kind == "sqlite" else "is not a whole dump")
    # Something else, well packed.
    cut.write_bytes(gzip.compress(b"something else"))
    script("restore", cut, empty_url, program=program, fails="is damaged" if kind == "sqlite" else "is not a whole dump")
    if kind == "mysql":
        cut.write_bytes(gzip.compress(gzip.decompress(whole)[: len(whole) // 2]))
        script("restore", cut, empty_url, program=program, fails="is not a whole dump")

    output = script("restore", file, empty_url, program=program)
    if "the audit found nothing" not in output:
        fail(f"{kind}: {output}")
    restored = ids(empty_url)
    lost, new = before - restored, restored - set(load.accepted)
    if lost:
        fail(f"{kind}: the backup lacks {len(lost)} orders that were accepted before it began")
    # An order whose answer was lost with the killed process may be there without its guest knowing.
    if len(new) > GUESTS:
        fail(f"{kind}: the backup has {len(new)} orders that nobody placed")

    # The copy goes on, with the same keys.
    two = Installation(processes, program, f"{kind}-restored", empty_url, keys=one.data)
    address, text = two.start()
    # As docs/operations.md says: the kitchen knows orders that the ledger has lost, and the API tells which.
    password = re.search(r"operator +(\S+)", text)[1]
    unknown = {one for one in kitchen if not is_known(address, one, password)}
    if unknown != {one for one in kitchen if normal(one) not in restored} or not unknown:
        fail(f"{kind}: of {len(kitchen)} tickets, {len(unknown)} are not in the ledger, which is wrong")
    again = Load(address, text)
    again.order()
    if again.accepted[0] not in ids(empty_url):
        fail(f"{kind}: a new order is not in the restored database")
    processes.end(two.name)
    audit = subprocess.run(
        [program, "audit", "--data-dir", two.data], env={**os.environ, **two.env}, capture_output=True, text=True, check=False
    )
    if audit.returncode:
        fail(f"{kind}: {audit.stdout}{audit.stderr}")
    say(
        f"{kind}: backed up after {at} orders while {after - at} more came, restored {len(restored)}, found {len(unknown)} that only the kitchen knows, and went on; the audit is clean"
    )


def is_known(address, order, password):
    try:
        return bool(ask(f"http://{address}/api/v1/orders/{order}", password=password))
    except urllib.error.HTTPError as error:
        if error.code != 404:
            raise
        return False


def sqlite_ids(url):
    import sqlite3

    rows = sqlite3.connect(f"file:{url.removeprefix('sqlite://')}?mode=ro", uri=True).execute("SELECT id FROM orders")
    return {normal(row[0]) for row in rows}


def normal(value):
    text = value.hex() if isinstance(value, bytes) else str(value)
    return text.replace("-", "").lower()


def mysql(server, statement):
    account = [f"--host={server.hostname}", f"--port={server.port}", f"--user={server.username}", f"--password={server.password}"]
    command = ["mariadb", "--no-defaults", *account, "--batch", "--skip-column-names", f"--execute={statement}"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def main(binaries):
    program = pathlib.Path(binaries).resolve() / "expediter"

    def work(processes):
        script("backup", processes.folder / "none", f"sqlite://{processes.folder}/none.db", fails="there is no database")
        script("backup", processes.folder / "none", "mysql://a:b@127.0.0.1:1/none", fails="connect")
        script("backup", processes.folder / "none", "postgres://a", fails="must begin with")
        left = [path.name for path in processes.folder.iterdir()]
        if left:
            fail(f"failed backups leave {left}")
        folder = processes.folder
        data = folder / "sqlite-data"
        prove(
            processes,
            program,
            "sqlite",
            f"sqlite://{data}/expediter.db",
            f"sqlite://{folder}/sqlite-restored-data/expediter.db",
            sqlite_ids,
        )

        server = urllib.parse.urlsplit(os.environ["EXPEDITER_TEST_MYSQL_URL"])
        names = [f"backup_{os.getpid()}", f"restore_{os.getpid()}"]
        # A password with characters that URLs and MySQL's settings files have a meaning for.
        mysql(server, f"CREATE DATABASE {names[0]}; CREATE USER 'back{os.getpid()}'@'%' IDENTIFIED BY 'p@\"s/\\\\#1'")
        mysql(server, f"GRANT ALL ON *.* TO 'back{os.getpid()}'@'%'")
        account = f"back{os.getpid()}:p%40%22s%2F%5C%231@{server.hostname}:{server.port}"
        urls = [f"mysql://{account}/{name}" for name in names]
        ids = lambda url: {normal(line) for line in mysql(server, f"SELECT LOWER(HEX(id)) FROM {url.rsplit('/', 1)[1]}.orders").split()}
        prove(processes, program, "mysql", *urls, ids)
        mysql(server, f"DROP DATABASE {names[0]}; DROP DATABASE {names[1]}; DROP USER 'back{os.getpid()}'@'%'")

    with_processes(work)


main(*sys.argv[1:])
