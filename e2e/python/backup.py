"""Tests scripts/backup and scripts/restore under load, on SQLite and on the MySQL of EXPEDITER_TEST_MYSQL_URL.

backup.py BINARIES
"""

import gzip
import os
import pathlib
import re
import shutil
import signal
import socket
import sqlite3
import ssl
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


def script(name, *arguments, program=None, fails=None, **env):
    """Runs a script; `fails` is what it must say when it must fail."""
    env = {**os.environ, "EXPEDITER": str(program or "/nonexistent"), **env}
    command = [str(ROOT / "scripts" / name), *map(str, arguments)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    output = done.stdout + done.stderr
    if fails is not None and (done.returncode == 0 or fails not in output):
        fail(f"{name} {arguments} must fail with '{fails}', but: {done.returncode} {output}")
    if fails is None and done.returncode:
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
    rows = sqlite3.connect(f"file:{url.removeprefix('sqlite://')}?mode=ro", uri=True).execute("SELECT id FROM orders")
    return {normal(row[0]) for row in rows}


def normal(value):
    text = value.hex() if isinstance(value, bytes) else str(value)
    return text.replace("-", "").lower()


def mysql(server, statement):
    account = [f"--host={server.hostname}", f"--port={server.port}", f"--user={server.username}", f"--password={server.password}"]
    command = ["mariadb", "--no-defaults", *account, "--batch", "--skip-column-names", f"--execute={statement}"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


# --- what a URL means ---------------------------------------------------------------------------------------------


def meanings():
    """Parts of URLs, and what the clients are told, or why a URL is refused."""
    at = "mysql://me:secret@db.example:3307/shop"
    plain = {"user": "me", "password": "secret", "host": "db.example", "port": "3307"}
    for url, wanted in [
        (at, plain),
        ("mysql://m%40e:a%5Cx41%22%25%20%C3%A9@[::1]/shop", {"user": "m@e", "password": 'a\\x41"% é', "host": "::1", "port": "3306"}),
        (r"mysql://me:a\x41\0b@db/shop", {"password": r"a\x41\0b"}),
        # An @ and a / behind the name of the database belong to nothing before it.
        (f"{at}?ssl-ca=/ca@1/ca.pem", {**plain, "ca": "/ca@1/ca.pem"}),
        (f"{at}?sslmode=verify_ca&sslca=/my+own%2Fca.pem&charset=utf8mb4", {**plain, "mode": "VERIFY_CA", "ca": "/my own/ca.pem"}),
        ("sqlite:///srv/my%20data/50%25.db?mode=rwc", {"database": "/srv/my data/50%.db"}),
        ("sqlite:data/x.db", {"database": "./data/x.db"}),
        ("sqlite://-bail", {"database": "./-bail"}),
        (r"sqlite:///srv/a\x41.db", {"database": r"/srv/a\x41.db"}),
        (f"{at}?ssl-mode=VERIFY_EVERYTHING", "ssl-mode is unknown"),
        (f"{at}?sslrootcert=/ca.pem", "sslrootcert is not understood"),
        (f"{at}?socket=/run/mysqld.sock", "socket is not understood"),
        (f"{at}#x", "write %23"),
        ("mysql://me:50%@db/shop", "write %25"),
        ("mysql://me:a%0Ab@db/shop", "control character"),
        ("mysql://me:a%00b@db/shop", "control character"),
        ("mysql://me:a@db%0d/shop", "control character"),
        ("mysql://me:a@d\nb/shop", "control character"),
        (f"{at}?ssl-ca=%7f", "control character"),
        ("sqlite:///srv/%1Bx.db", "control character"),
        ("sqlite:///srv/x.db?mode=memory", "names no file"),
        ("sqlite:///srv/x.db?vfs=unix-none", "vfs is not understood"),
        ("mysql://me:a@db/sh%6Fp", "may have letters"),
    ]:
        parts = 'for name in user password host port database; do echo "$name=${!name:-}"; done; for name in "${!tls[@]}"; do echo "$name=${tls[$name]}"; done'
        done = shell(f'read_url "$1"; {parts}', url)
        if isinstance(wanted, str):
            if done.returncode == 0 or wanted not in done.stderr:
                fail(f"{url!r} must be refused with '{wanted}', but: {done.returncode} {done.stdout} {done.stderr}")
        elif done.returncode or not wanted.items() <= dict(line.split("=", 1) for line in done.stdout.splitlines()).items():
            fail(f"{url!r} must be {wanted}, but is {done.stdout} {done.stderr}")


def shell(commands, *arguments, **environment):
    """Runs commands with the functions of scripts/database-url."""
    begun = 'set -euo pipefail; shopt -s inherit_errexit; die() { echo "$*" >&2; exit 1; }; . scripts/database-url; '
    own = {name: value for name, value in os.environ.items() if not name.startswith("EXPEDITER__")} | environment
    return subprocess.run(["bash", "-c", begun + commands, "-", *arguments], cwd=ROOT, env=own, capture_output=True, text=True, check=False)


def url_in_a_file(folder):
    """The URL may be in a file, as that of the processes may; no message has its path."""
    secret = folder / "url"
    secret.write_text("mysql://me:secret@db/shop\n")
    url, named = "EXPEDITER__DATABASE__URL", "EXPEDITER__DATABASE__URL_FILE"
    for arguments, environment, wanted in [
        ([], {named: str(secret)}, "secret shop"),
        (["mysql://me:other@db/bar"], {named: str(secret)}, "other bar"),
        ([], {url: "mysql://me:third@db/pub"}, "third pub"),
        ([], {url: "mysql://me:third@db/pub", named: str(secret)}, "are both set"),
        ([], {named: "mysql://me:oops@db/shop"}, "cannot be read"),
        ([], {named: "/dev/null"}, "is empty"),
    ]:
        done = shell('read_url "${1:-}"; echo "$password $database"', *arguments, **environment)
        said = done.stdout.strip() or done.stderr
        if wanted not in said or "oops" in said:
            fail(f"{arguments} with {environment} must say '{wanted}', but says {said}")
    secret.unlink()


def servers_that_take_writes():
    """A copy is made of a server that the processes would use."""
    node = ["read_only=OFF", "wsrep_on=ON", "wsrep_cluster_status=Primary", "wsrep_local_state=4", "wsrep_ready=ON"]
    for lines, wanted in [
        (["read_only=OFF"], True),
        (["read_only=OFF", "wsrep_on=OFF", "wsrep_ready=OFF"], True),
        (node, True),
        ([], False),
        (["read_only=ON"], False),
        *((node[:at] + node[at + 1 :], False) for at in (0, 2, 3, 4)),
        ([line.replace("=4", "=42") for line in node], False),
        ([line.replace("=4", "=2") for line in node], False),
        ([line.replace("=Primary", "=non-Primary") for line in node], False),
    ]:
        done = shell('takes_writes "$1"', "\n".join(lines))
        if (done.returncode == 0) != wanted:
            fail(f"{lines} must {'' if wanted else 'not '}take writes: {done.stderr}")


def told(folder, version, query):
    """Returns what a client of this version is told in its settings file; the client itself is ours."""
    tools = folder / "tools"
    tools.mkdir(exist_ok=True)
    dump = tools / "mariadb-dump"
    dump.write_text(
        f"""#!/bin/sh
case $1 in
--version) echo '{version}' ;;
--help) ;;
*) cat "${{1#--defaults-file=}}"; echo '-- Dump completed' ;;
esac
"""
    )
    dump.chmod(0o755)
    file = folder / "told"
    script("backup", file, f"mysql://me:secret@db.example/shop{query}", PATH=f"{tools}:{os.environ['PATH']}")
    lines = set(gzip.decompress(file.read_bytes()).decode().splitlines())
    file.unlink()
    dump.unlink()
    tools.rmdir()
    return {line for line in lines if "ssl" in line}


def clients(folder):
    """Each client gets the options of TLS in its own words."""
    ours, theirs = "mariadb-dump from 11.4.2-MariaDB, client 10.19 for debian-linux-gnu", "mysqldump  Ver 8.4.0 for Linux on x86_64"
    ca, check = 'ssl-ca="/ca.pem"', {"ssl", "ssl-verify-server-cert"}
    for version, query, wanted in [
        (ours, "", set()),
        (ours, "?charset=utf8mb4", set()),
        (ours, "?ssl-mode=VERIFY_IDENTITY&ssl-ca=/ca.pem", {ca, *check}),
        (ours, "?ssl-mode=VERIFY_CA&ssl-ca=/ca.pem", {ca, *check}),
        (ours, "?ssl-ca=/ca.pem&ssl-cert=/c.pem&ssl-key=/k.pem", {ca, *check, 'ssl-cert="/c.pem"', 'ssl-key="/k.pem"'}),
        (ours, "?ssl-mode=PREFERRED", {"ssl", "skip-ssl-verify-server-cert"}),
        (ours, "?ssl-mode=DISABLED", {"skip-ssl"}),
        (theirs, "", set()),
        (theirs, "?ssl-mode=VERIFY_IDENTITY&ssl-ca=/ca.pem", {ca, "ssl-mode=VERIFY_IDENTITY"}),
        (theirs, "?ssl-ca=/ca.pem", {ca, "ssl-mode=VERIFY_CA"}),
        (theirs, "?ssl-mode=REQUIRED", {"ssl-mode=REQUIRED"}),
    ]:
        found = told(folder, version, query)
        if found != wanted:
            fail(f"{version} is told {found} for {query}, not {wanted}")


class Listener:
    """The first words of a MySQL server, with TLS or without; notes what each client does."""

    def __init__(self, certificate, key, tls):
        self.tls, self.did = tls, []
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate, key)
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            client, _ = self.socket.accept()
            with client:
                client.settimeout(10)
                self.did.append(self.talk(client))

    def talk(self, client):
        # With a database, protocol 4.1, a password in the newer form.
        offers = 0x8208 | (0x0800 if self.tls else 0)
        body = b"\x0a8.0.0-test\0\1\0\0\0saltsalt\0" + offers.to_bytes(2, "little") + b"\x2d\2\0\x08\0\x15"
        body += bytes(10) + b"saltsaltsalt\0mysql_native_password\0"
        try:
            client.sendall(bytes([len(body), 0, 0, 0]) + body)
            asked = client.recv(36, socket.MSG_WAITALL)
            if not asked:
                return "left"
            if asked[0] != 32:
                return "sent its password without TLS"
            with self.context.wrap_socket(client, server_side=True) as secured:
                return "speaks TLS" if secured.recv(1) else "refused the certificate"
        except OSError:
            return "refused the certificate"


def lines_to_mysql(folder):
    """MariaDB's client, as it is told, sends nothing secret to a server that the URL does not trust."""
    for name in ("ours", "others"):
        command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1", "-addext"]
        command += ["subjectAltName=IP:127.0.0.1", "-keyout", folder / f"{name}.key", "-out", folder / f"{name}.pem"]
        subprocess.run(command, check=True, capture_output=True)
    secured = Listener(folder / "ours.pem", folder / "ours.key", tls=True)
    bare = Listener(folder / "ours.pem", folder / "ours.key", tls=False)
    dump = folder / "some.backup"
    dump.write_bytes(gzip.compress(b"-- Dump completed\n"))
    for server, query, did in [
        (secured, f"?ssl-mode=VERIFY_IDENTITY&ssl-ca={folder}/ours.pem", "speaks TLS"),
        (secured, f"?ssl-mode=VERIFY_IDENTITY&ssl-ca={folder}/others.pem", "refused the certificate"),
        (secured, f"?ssl-ca={folder}/others.pem", "refused the certificate"),
        (secured, "?ssl-mode=VERIFY_CA", "refused the certificate"),
        (bare, f"?ssl-mode=VERIFY_IDENTITY&ssl-ca={folder}/ours.pem", "left"),
        (bare, "?ssl-mode=DISABLED", "sent its password without TLS"),
    ]:
        for name, file in (("backup", folder / "none"), ("restore", dump)):
            before = len(server.did)
            url = f"mysql://me:secret@127.0.0.1:{server.port}/shop{query}"
            # It gets no further than the greeting.
            script(name, file, url, fails="SSL is required" if did == "left" else "")
            until("the client has gone", lambda: len(server.did) > before, 15)
            if server.did[before] != did:
                fail(f"{name} {query}: the client {server.did[before]}, and should have: {did}")
    bare_url = f"mysql://me:secret@127.0.0.1:{bare.port}/shop?ssl-mode=REQUIRED"
    before = len(bare.did)
    script("backup", folder / "none", bare_url, fails="insists on TLS only if")
    if len(bare.did) != before:
        fail("a client connects without the TLS that the URL requires")
    for path in (dump, *folder.glob("*.pem"), *folder.glob("*.key")):
        path.unlink()


def one_file(folder):
    """Of backups that end up with one name, one succeeds; a restore that fails leaves nothing."""
    data = folder / "many"
    data.mkdir()
    database = data / "with space 50%.db"
    with sqlite3.connect(database) as made:
        made.execute("CREATE TABLE t (x BLOB)")
        made.execute("INSERT INTO t VALUES (randomblob(3000000))")
    made.close()
    url = f"sqlite://{data}/with%20space%2050%25.db"
    file = data / "copy"
    command = [str(ROOT / "scripts/backup"), str(file), url]
    running = [subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    said = [one.communicate()[1] for one in running]
    if sorted(one.returncode for one in running) != [0, 1, 1, 1] or any("exists" not in said[i] for i, one in enumerate(running) if one.returncode):
        fail(f"of four backups to one file, not one succeeds: {said}")
    gzip.decompress(file.read_bytes())

    # The file appears while the backup is under way.
    late = data / "late"
    tools = data / "tools"
    tools.mkdir()
    (tools / "gzip").write_text(f"#!/bin/sh\necho mine >'{late}'\nexec {shutil.which('gzip')} \"$@\"\n")
    (tools / "gzip").chmod(0o755)
    script("backup", late, url, PATH=f"{tools}:{os.environ['PATH']}", fails="nothing is replaced")
    if late.read_text() != "mine\n":
        fail("a backup replaces a file")

    again = f"sqlite://{data}/again%20%231.db"
    script("restore", file, again)
    script("restore", file, again, fails="a restore replaces nothing")
    (data / "again #1.db").unlink()
    # gunzip can be read once, and fails then (a disk that is full).
    (tools / "gzip").unlink()
    (tools / "gunzip").write_text('#!/bin/sh\n[ "$1" = -t ] || { echo half; exit 1; }\n')
    (tools / "gunzip").chmod(0o755)
    script("restore", file, again, PATH=f"{tools}:{os.environ['PATH']}", fails="")
    left = {path.name for path in data.iterdir()}
    if left != {database.name, "copy", "late", "tools"}:
        fail(f"backups and restores leave {left}")
    shutil.rmtree(data)


def main(binaries):
    program = pathlib.Path(binaries).resolve() / "expediter"

    def work(processes):
        meanings()
        url_in_a_file(processes.folder)
        servers_that_take_writes()
        clients(processes.folder)
        lines_to_mysql(processes.folder)
        one_file(processes.folder)
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
