"""Creates what an operation needs to succeed, such as an order that can still be cancelled, or an unused token.

Random parts of a request stay as they are, except for those that would always be refused.
"""

import itertools
import time
import uuid
from datetime import UTC, datetime, timedelta

import requests

numbers = itertools.count()
# Makes names unique: another fuzzer may have run before.
THIS_ONE = uuid.uuid4().hex[:8]
# Number of requests after which a new place is created, because the fuzzer changes what it finds.
A_PLACE_LASTS = 10
SOON_S = 10


class World:
    """Prepares operations. `house`: the API's address, logins, and an address that refuses every POST. `caller`: the account
    whose token the fuzzer sends, or `None`."""

    def __init__(self, house, caller):
        self.house, self.caller = house, caller
        self.places = 0

    def ask(self, method, path, body=None, by="operator", headers=None):
        login = (by, self.house["logins"][by]) if by else None
        answer = requests.request(method, self.house["url"] + path, json=body, auth=login, headers=headers, timeout=30)
        assert answer.ok, (method, path, body, answer.status_code, answer.text)
        return answer.json() if answer.content else None

    def prepare(self, case):
        """Creates what the case's operation needs."""
        ready = OPERATIONS.get((case.method, case.operation.path))
        if ready is None or (self.caller is None and case.operation.path not in FOR_ANYBODY):
            return
        if self.places % A_PLACE_LASTS == 0:
            self.open_place()
        self.places += 1
        conditions = ("if-match", "idempotency-key")
        case.headers = {name: value for name, value in (case.headers or {}).items() if name.lower() not in conditions}
        case.path_parameters = case.path_parameters or {}
        body = case.body if isinstance(case.body, dict) else {}
        try:
            ready(self, case, case.path_parameters, body)
        except AssertionError:
            self.open_place()
            ready(self, case, case.path_parameters, body)

    def open_place(self):
        """Creates a store whose orders stay pending, with an uncounted product and a table, and an account."""
        wanted = {"name": "Quiet", "timezone": "Europe/Berlin", "currency": "EUR", "auto_accept": False}
        self.store = self.ask("POST", "/stores", wanted)["id"]
        wanted = {"store_id": self.store, "name": "Espresso", "price": {"amount": 250, "currency": "EUR"}}
        self.product = self.ask("POST", "/products", wanted)["id"]
        self.session = self.new_session()
        self.username, self.password = unused("steady").replace(" ", "-"), "open sesame"
        wanted = {"username": self.username, "password": self.password, "role": "customer"}
        self.user = self.ask("POST", "/users", wanted)["id"]

    def new_order(self, **more):
        wanted = {"store_id": self.store, "items": [{"product_id": self.product, "quantity": 1}] * 2}
        return self.ask("POST", "/orders", wanted | more, by=self.caller or "operator")

    def new_session(self):
        return self.ask("POST", "/sessions", {"store_id": self.store, "name": unused("Table")})["code"]

    def new_integrator(self, **more):
        wanted = {"store_id": self.store, "name": "Refuses", "kind": "pos", "required": False, "callback_auth": "bearer"}
        return self.ask("POST", "/integrators", wanted | {"url": self.house["refuses"]} | more)

    def new_tokens(self):
        return self.ask("POST", "/token", {"username": self.username, "password": self.password}, by=None)


def unused(word):
    return f"{word} {THIS_ONE} {next(numbers)}"


def has_lines(body, product):
    """Makes each line order the uncounted product."""
    for line in [*(body.get("items") or []), body]:
        if isinstance(line, dict) and line.keys() & {"product_id", "sku"}:
            line.pop("sku", None)
            line.pop("options", None)
            line["product_id"] = product
    # Random times are never near enough.
    for field in ("expected_total", "wanted_at", "ready_at"):
        body.pop(field, None)
    # The product offers none.
    body.pop("options", None)
    if body.get("reference"):
        body["reference"] = unused("fuzzed")
    if body.get("fulfilment") == "delivery":
        body["customer"] = (body.get("customer") or {}) | {"address": "Hauptstraße 1, Berlin"}


def place_order(world, case, places, body):
    body["store_id"] = world.store
    body.pop("session", None)
    has_lines(body, world.product)


def place_guest_order(world, case, places, body):
    places["code"] = world.session
    has_lines(body, world.product)


def cancel_guest_order(world, case, places, body):
    code, key = world.session, unused("a guest's own key")
    wanted, guest = {"product_id": world.product}, {"Expediter-Guest": key}
    places |= {"code": code, "id": world.ask("POST", f"/sessions/{code}/orders", wanted, by=None, headers=guest)["id"]}
    case.headers = {**(case.headers or {}), **guest}


def on_pending(world, case, places, body):
    places["id"] = world.new_order()["id"]
    has_lines(body, world.product)


def set_ready_time(world, case, places, body):
    places["id"] = world.new_order()["id"]
    soon = datetime.now(UTC) + timedelta(minutes=30)
    body["ready_at"] = soon.isoformat()


def on_draft(world, case, places, body):
    order = world.new_order(status="draft")
    places["id"] = order["id"]
    if "{item}" in case.operation.path:
        places["item"] = order["items"][0]["id"]
    has_lines(body, world.product)


def replace_order(world, case, places, body):
    places["id"] = world.new_order()["id"]
    world.ask("DELETE", f"/orders/{places['id']}", by=world.caller or "operator")
    has_lines(body, world.product)


def retry_handoff(world, case, places, body):
    world.open_place()
    world.new_integrator()
    path = f"/orders/{world.new_order()['id']}/handoffs"
    until = time.monotonic() + SOON_S
    while (handoff := world.ask("GET", path)[0])["state"] != "failed":
        assert time.monotonic() < until, handoff
        time.sleep(0.02)
    places["id"] = handoff["id"]


def receive_callback(world, case, places, body):
    world.open_place()
    made = world.new_integrator()
    places["id"] = made["integrator"]["id"]
    body.pop("reference", None)
    body["order_id"] = world.new_order()["id"]
    bearer = {"Authorization": f"Bearer {made['callback_secret']}", "webhook-id": unused("webhook")}
    case.headers = {**(case.headers or {}), **bearer}


def archive_integrator(world, case, places, body):
    places["id"] = world.new_integrator(events=["order.dispatched"])["integrator"]["id"]


def archive_product(world, case, places, body):
    wanted = {"store_id": world.store, "name": "Spare", "price": {"amount": 1, "currency": "EUR"}}
    places["id"] = world.ask("POST", "/products", wanted)["id"]


def delete_category(world, case, places, body):
    places["id"] = world.ask("POST", "/categories", {"store_id": world.store, "name": "Spare"})["id"]


def archive_store(world, case, places, body):
    wanted = {"name": "Spare", "timezone": "Europe/Berlin", "currency": "EUR"}
    places["id"] = world.ask("POST", "/stores", wanted)["id"]


def end_session(world, case, places, body):
    places["code"] = world.new_session()


def create_category(world, case, places, body):
    body["store_id"] = world.store
    body.pop("translations", None)


def create_product(world, case, places, body):
    body["store_id"] = world.store
    for field in ("categories", "image_url", "translations"):
        body.pop(field, None)
    if body.get("sku"):
        body["sku"] = unused("sku")


def edit_product(world, case, places, body):
    create_product(world, case, places, body)
    places["id"] = world.product
    for field in ("store_id", "price", "until", "option_group_ids"):
        body.pop(field, None)


def has_options(world, body):
    """Makes the options of a group new ones in the store's currency, and its bounds fit."""
    for option in body.get("options") or []:
        for field in ("id", "price", "product_id", "is_default"):
            option.pop(field, None)
    body.pop("min", None)


def create_option_group(world, case, places, body):
    body["store_id"] = world.store
    has_options(world, body)


def on_option_group(world, case, places, body):
    wanted = {"store_id": world.store, "name": "Milk", "max": 1, "options": [{"name": "Oat milk"}]}
    places["id"] = world.ask("POST", "/option-groups", wanted)["id"]
    has_options(world, body)


def open_session(world, case, places, body):
    body |= {"store_id": world.store, "name": unused("Table")}


def create_user(world, case, places, body):
    body["username"] = unused("user").replace(" ", "-")
    body.pop("stores", None)
    body.pop("integrator_ids", None)
    if body.get("role") in ("manager", "staff"):
        body["stores"] = [world.store]
    if body.get("role") == "integrator":
        body["integrator_ids"] = [world.new_integrator(events=["order.dispatched"])["integrator"]["id"]]


def create_api_key(world, case, places, body):
    body["store_ids"] = [world.store]
    body.pop("expires_at", None)


def name_customer(world, case, places, body):
    for field in ("account_id", "phone", "cursor"):
        body.pop(field, None)
    body["email"] = f"{uuid.uuid4().hex}@example.com"


def get_erasure(world, case, places, body):
    places["id"] = world.ask("POST", "/customers/erase", {"email": f"{uuid.uuid4().hex}@example.com"})["id"]


def sign_in(world, case, places, body):
    body |= {"username": world.username, "password": world.password}


def with_refresh_token(world, case, places, body):
    body["refresh"] = world.new_tokens()["refresh"]


def exchange_session_key(world, case, places, body):
    path = f"/users/{world.user}/external-identity"
    identity = world.ask("PUT", path, {"user_id": str(uuid.uuid4())})
    body |= {name: identity[name] for name in ("user_id", "session_key")}


OPERATIONS = {
    ("POST", "/orders"): place_order,
    ("POST", "/sessions/{code}/orders"): place_guest_order,
    ("POST", "/sessions/{code}/orders/{id}/cancel"): cancel_guest_order,
    ("PATCH", "/orders/{id}"): on_draft,
    ("PUT", "/orders/{id}/status"): on_pending,
    ("PUT", "/orders/{id}/ready-time"): set_ready_time,
    ("DELETE", "/orders/{id}"): on_pending,
    ("POST", "/orders/{id}/items"): on_draft,
    ("PATCH", "/orders/{id}/items/{item}"): on_draft,
    ("DELETE", "/orders/{id}/items/{item}"): on_draft,
    ("POST", "/orders/{id}/replace"): replace_order,
    ("POST", "/handoffs/{id}/retry"): retry_handoff,
    ("POST", "/integrators/{id}/callbacks"): receive_callback,
    ("DELETE", "/integrators/{id}"): archive_integrator,
    ("DELETE", "/products/{id}"): archive_product,
    ("DELETE", "/categories/{id}"): delete_category,
    ("DELETE", "/stores/{id}"): archive_store,
    ("POST", "/sessions/{code}/close"): end_session,
    ("POST", "/sessions/{code}/code"): end_session,
    ("POST", "/categories"): create_category,
    ("POST", "/products"): create_product,
    ("PATCH", "/products/{id}"): edit_product,
    ("POST", "/option-groups"): create_option_group,
    ("PATCH", "/option-groups/{id}"): on_option_group,
    ("DELETE", "/option-groups/{id}"): on_option_group,
    ("POST", "/sessions"): open_session,
    ("POST", "/users"): create_user,
    ("POST", "/api-keys"): create_api_key,
    ("POST", "/customers/export"): name_customer,
    ("POST", "/customers/erase"): name_customer,
    ("GET", "/customers/erasures/{id}"): get_erasure,
    ("POST", "/token"): sign_in,
    ("POST", "/token/refresh"): with_refresh_token,
    ("POST", "/token/revoke"): with_refresh_token,
    ("POST", "/token/exchange"): exchange_session_key,
}
# Operations that a fuzzer without a token may call. Callbacks bring their own credentials, which a fuzzer's token would
# replace.
FOR_ANYBODY = {path for _, path in OPERATIONS if path.startswith(("/token", "/sessions/{code}/orders"))} | {
    "/integrators/{id}/callbacks"
}
