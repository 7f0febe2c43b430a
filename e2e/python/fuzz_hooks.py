"""Replaces random ids in the fuzzer's requests with existing ones, so that not all of them are answered with 404.

The file HOUSE contains lists of ids, by the resource's name in paths. Only the last of each list may be archived, closed
or changed. Two of three requests that fit their schema get everything they need to succeed (fuzz_world.py). Each
response is recorded in the file ANSWERS.
"""

import itertools
import json
import os
import re
import uuid

import schemathesis
from fuzz_world import World

with open(os.environ["HOUSE"], encoding="utf-8") as file:
    HOUSE = json.load(file)

POOLS = {
    "store_id": "stores",
    "product_id": "products",
    "category_id": "categories",
    "order_id": "orders",
    "integrator_id": "integrators",
    "option_id": "options",
}
# A listener's path takes the id of an integrator, which then is none.
SAME = {"listeners": "integrators"}
LISTS = {
    "stores": "stores",
    "store_ids": "stores",
    "integrator_ids": "integrators",
    "option_group_ids": "option-groups",
}
CODE = re.compile(r"\A[0-9a-f]{40}\Z")
CURRENCY = re.compile(r"\A[A-Z]{3}\Z")
ENDS = {("DELETE", name) for name in ("stores", "products", "categories", "option-groups", "integrators")}
ENDS |= {("PUT", "stores"), ("PATCH", "users")}
turns, sure = itertools.count(), itertools.count(1)
noted = open(os.environ["ANSWERS"], "a", buffering=1, encoding="utf-8")
world = World(HOUSE["world"], os.environ.get("CALLER"))


def some(pool):
    """Returns the known ids in turn; None for every fourth request, which keeps its random id."""
    known = HOUSE.get(pool)
    turn = next(turns)
    return known[turn // 4 % len(known)] if known and turn % 4 else None


def is_uuid(value):
    try:
        return isinstance(value, str) and bool(uuid.UUID(value))
    except ValueError:
        return False


def filled(value, name=""):
    """Replaces well-formed ids with existing ones; malformed ones stay, to be refused."""
    if isinstance(value, dict):
        return {key: filled(below, key) for key, below in value.items()}
    if isinstance(value, list):
        return [(is_uuid(one) and some(LISTS[name]) or one) if name in LISTS else filled(one) for one in value]
    if name in POOLS and is_uuid(value):
        return some(POOLS[name]) or value
    if not isinstance(value, str):
        return value
    if name == "session" and CODE.match(value):
        return HOUSE["sessions"][0]
    if name == "currency" and CURRENCY.match(value):
        return "EUR"
    return value


@schemathesis.hook
def before_call(context, case, kwargs):
    resource = case.path.split("/")[1]
    places = case.path_parameters or {}
    can_end = (case.method, resource) in ENDS or case.path.endswith(("/close", "/code"))
    if "id" in places and is_uuid(places["id"]):
        pool = "orders" if "/orders/{id}" in case.path else SAME.get(resource, resource)
        places["id"] = HOUSE[pool][-1] if can_end else some(pool) or places["id"]
    if "item" in places and is_uuid(places["item"]):
        places["item"] = some("items") or places["item"]
    if "code" in places and isinstance(places["code"], str) and CODE.match(places["code"]):
        places["code"] = HOUSE["sessions"][-1] if can_end else some("sessions") or places["code"]
    if isinstance(case.query, dict):
        case.query = filled(case.query)
    if isinstance(case.body, (dict, list)):
        case.body = filled(case.body)
    if case.meta and case.meta.generation.mode.is_positive and next(sure) % 3:
        world.prepare(case)


@schemathesis.hook
def after_call(context, case, response):
    noted.write(f"{case.method} {case.operation.path} {response.status_code}\n")
