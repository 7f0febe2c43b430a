"""Sends a callback once, signed; the caller sends it again until there is a 2xx."""

import json
import time
import urllib.error
import urllib.request

from signature import sign


def call_back(url: str, secret: str, webhook_id: str, update: dict) -> int:
    body = json.dumps(update).encode()
    timestamp = str(int(time.time()))
    headers = {
        "Content-Type": "application/json",
        "webhook-id": webhook_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": sign(secret, webhook_id, timestamp, body),
    }
    try:
        return urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=10).status
    except urllib.error.HTTPError as error:
        return error.code
