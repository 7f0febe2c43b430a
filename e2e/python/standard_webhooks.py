"""Verifies and signs with the package `standardwebhooks`: reads one JSON object per line, prints one answer per line."""

import json
import sys
from datetime import datetime, timezone

from standardwebhooks.webhooks import Webhook, WebhookVerificationError


def answer(asked):
    webhook = Webhook(asked["secret"])
    if asked["do"] == "sign":
        now = datetime.now(tz=timezone.utc)
        signature = webhook.sign(asked["id"], now, asked["body"])
        return {"timestamp": str(int(now.timestamp())), "signature": signature}
    try:
        webhook.verify(asked["body"], asked["headers"])
    except WebhookVerificationError as error:
        return {"verified": False, "error": str(error)}
    return {"verified": True}


for line in sys.stdin:
    print(json.dumps(answer(json.loads(line))))
