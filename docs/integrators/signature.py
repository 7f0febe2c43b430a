"""Makes and checks signatures as in Standard Webhooks, with Python's standard library only."""

import base64
import hashlib
import hmac
import re
import time

TOLERANCE_S = 300


def sign(secret: str, webhook_id: str, timestamp: str, body: bytes) -> str:
    key = base64.b64decode(secret.removeprefix("whsec_"))
    content = f"{webhook_id}.{timestamp}.".encode() + body
    tag = hmac.new(key, content, hashlib.sha256).digest()
    return "v1," + base64.b64encode(tag).decode()


def verify(secret: str, webhook_id: str, timestamp: str, signature: str, body: bytes, now: float | None = None) -> bool:
    """Returns True if one of the signatures is right and the timestamp is recent."""
    if not re.fullmatch("[0-9]{1,12}", timestamp):
        return False
    if abs((time.time() if now is None else now) - int(timestamp)) > TOLERANCE_S:
        return False
    right = sign(secret, webhook_id, timestamp, body).encode()
    return any(hmac.compare_digest(right, one.encode()) for one in signature.split(" "))
