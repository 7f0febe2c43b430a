"""Places an order at a table, follows it until it is ready, and checks the signature of a webhook.

python3 example.py http://127.0.0.1:8080/api/v1 SESSION_CODE [WEBHOOK.json]
"""

import json
import sys
import uuid

from expediter_client import Client
from expediter_client.api.orders import place_guest_order
from expediter_client.api.sessions import get_session_menu
from expediter_client.models import GuestOrder, GuestsOrder, Menu
from standardwebhooks import Webhook

from follow import follow


def place(client: Client, code: str) -> GuestOrder:
    menu = get_session_menu.sync(code, client=client)
    assert isinstance(menu, Menu), menu
    product = next(product for product in menu.items if product.available)
    # With the same key a repeated request places no second order.
    placed = place_guest_order.sync(
        code, client=client, body=GuestsOrder(product_id=product.id), idempotency_key=str(uuid.uuid4())
    )
    assert isinstance(placed, GuestOrder), placed
    return placed


def verified(file: str) -> dict:
    """Returns the message if its integrator's secret signed it; raises if not, or if it is older than five minutes."""
    with open(file, encoding="utf-8") as opened:
        webhook = json.load(opened)
    return Webhook(webhook["secret"]).verify(webhook["body"], webhook["headers"])


api, code, *webhook = sys.argv[1:]
for file in webhook:
    print("webhook", verified(file)["event"], flush=True)
with Client(base_url=api) as client:
    order = place(client, code)
print("placed", order.id, flush=True)
for frame in follow(f"{api}/sessions/{code}/events/stream"):
    orders = frame.get("orders") or [frame.get("data", {}).get("order", {})]
    ours = next((one for one in orders if one.get("id") == str(order.id)), None)
    if ours is not None:
        print(frame["seq"], ours["status"], flush=True)
        if ours["status"] == "ready":
            break
