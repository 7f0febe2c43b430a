"""A small integrator in Python, written from docs/integrators.md: it takes orders, prepares each, and calls back.

    EXPEDITER_SIGNING_SECRET=whsec_… EXPEDITER_CALLBACK_SECRET=whsec_… python3 example.py

It listens on 127.0.0.1:9000 (PORT), keeps its data in integrator.db (DATABASE), and needs STEP_S seconds for a step.
"""

import http.client
import json
import os
import sqlite3
import threading
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from signature import sign, verify

SIGNING_SECRET = os.environ["EXPEDITER_SIGNING_SECRET"]
CALLBACK_SECRET = os.environ["EXPEDITER_CALLBACK_SECRET"]
PORT = int(os.environ.get("PORT", "9000"))
STEP_S = float(os.environ.get("STEP_S", "3"))
MAX_BODY_BYTES = 1_048_576
MAX_PAUSE_S = 60

DB = sqlite3.connect(os.environ.get("DATABASE", "integrator.db"), check_same_thread=False)
LOCK = threading.Lock()  # one connection, one transaction at a time
DB.executescript("""
    CREATE TABLE IF NOT EXISTS messages (webhook_id TEXT PRIMARY KEY);
    CREATE TABLE IF NOT EXISTS orders (id TEXT PRIMARY KEY, status TEXT NOT NULL, change INTEGER NOT NULL);
    CREATE TABLE IF NOT EXISTS callbacks (
        webhook_id TEXT PRIMARY KEY, order_id TEXT NOT NULL, url TEXT NOT NULL, body TEXT NOT NULL,
        due REAL NOT NULL, tries INTEGER NOT NULL DEFAULT 0);
""")


def receive(webhook_id, message):
    """Applies a message once, and commits before it is answered; returns our reference for the order."""
    order = message.get("order", {})
    order_id = order.get("id") or order.get("foreign_order_id")
    with LOCK, DB:
        is_new = DB.execute("INSERT OR IGNORE INTO messages VALUES (?)", [webhook_id]).rowcount == 1
        if is_new and order_id:
            apply(message, order_id)
    return f"EX-{order_id}" if order_id else None


def apply(message, order_id):
    known = DB.execute("SELECT change FROM orders WHERE id = ?", [order_id]).fetchone()
    number = int(message.get("change", {}).get("number", known[0] if known else 0))
    if known and number < known[0]:
        return  # older than what we know: the order was cancelled before this message arrived
    if message["event"] == "order.placed" and not known:
        DB.execute("INSERT INTO orders VALUES (?, 'open', ?)", [order_id, number])
        for sequence, status in enumerate(["preparing", "ready"], start=1):
            due = time.time() + sequence * STEP_S
            body = {"order_id": order_id, "status": status, "sequence": sequence}
            DB.execute(
                "INSERT INTO callbacks (webhook_id, order_id, url, body, due) VALUES (?, ?, ?, ?, ?)",
                [f"{order_id}-{sequence}", order_id, message["callback_url"], json.dumps(body), due],
            )
    elif message["event"] == "order.cancelled":
        DB.execute("INSERT OR REPLACE INTO orders VALUES (?, 'cancelled', ?)", [order_id, number])
        DB.execute("DELETE FROM callbacks WHERE order_id = ?", [order_id])
    # Other events are taken, and change nothing here.


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 10  # seconds; ends connections that say nothing

    def do_POST(self):
        length = self.headers.get("Content-Length", "")
        if not length.isdigit() or int(length) > MAX_BODY_BYTES:
            self.close_connection = True  # the body is not read
            return self.answer(413, {"error": "too large"})
        body = self.rfile.read(int(length))
        header = {name: self.headers.get(name, "") for name in ("webhook-id", "webhook-timestamp", "webhook-signature")}
        if not verify(SIGNING_SECRET, *header.values(), body):
            return self.answer(401, {"error": "bad signature"})
        try:
            reference = receive(header["webhook-id"], json.loads(body))
        except sqlite3.Error as error:
            return self.answer(503, {"error": str(error)})  # sent again later
        except (AttributeError, KeyError, TypeError, ValueError):
            return self.answer(400, {"error": "not understood"})  # never sent again
        self.answer(200, {"reference": reference})

    def answer(self, status, body):
        body = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def send(webhook_id, url, body):
    """Sends a callback once; returns the status (None without an answer) and the seconds that Expediter asks us to wait."""
    timestamp = str(int(time.time()))
    headers = {
        "Content-Type": "application/json",
        "webhook-id": webhook_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": sign(CALLBACK_SECRET, webhook_id, timestamp, body.encode()),
    }
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body.encode(), headers), timeout=10) as answer:
            return answer.status, 0
    except urllib.error.HTTPError as error:
        retry_after = error.headers.get("Retry-After", "")
        return error.code, int(retry_after) if retry_after.isdigit() else 0
    except (OSError, http.client.HTTPException):
        return None, 0


def call_back():
    """Sends due callbacks for ever: those of one order one after the other, each until it is taken or refused."""
    while True:
        with LOCK:
            due = DB.execute(
                "SELECT webhook_id, url, body, tries FROM callbacks WHERE due <= ?"
                " AND rowid IN (SELECT MIN(rowid) FROM callbacks GROUP BY order_id) ORDER BY due LIMIT 1",
                [time.time()],
            ).fetchone()
        if not due:
            time.sleep(0.1)
            continue
        webhook_id, url, body, tries = due
        status, wait_s = send(webhook_id, url, body)
        is_over = status is not None and status < 500 and status not in (408, 425, 429)
        if is_over and status >= 300:
            print(f"callback {webhook_id} was refused with {status}", flush=True)
        with LOCK, DB:
            if is_over:
                DB.execute("DELETE FROM callbacks WHERE webhook_id = ?", [webhook_id])
            else:
                due_at = time.time() + max(wait_s, min(2**tries, MAX_PAUSE_S))
                DB.execute("UPDATE callbacks SET tries = tries + 1, due = ? WHERE webhook_id = ?", [due_at, webhook_id])


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", PORT), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"listening on http://127.0.0.1:{PORT}/", flush=True)
    call_back()
