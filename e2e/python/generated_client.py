"""Uses the client generated from the OpenAPI document, with no other knowledge of the API.

Arguments: the address and the operator's password. Prints nothing; fails if a response does not match its type.
"""

import datetime
import sys
import uuid

from expediter_client import AuthenticatedClient, Client
from expediter_client.api.orders import get_order, list_orders, place_guest_order, place_order
from expediter_client.api.products import create_product
from expediter_client.api.sessions import get_session, open_session
from expediter_client.api.signing_in import sign_in
from expediter_client.api.stores import create_store
from expediter_client import models as m
from expediter_client.types import UNSET

url, password = sys.argv[1:]


def ok(answer, status, kind):
    assert answer.status_code == status, (answer.status_code, answer.content)
    assert type(answer.parsed) is kind, (type(answer.parsed), kind)
    return answer.parsed


with Client(base_url=url) as nobody:
    pair = ok(sign_in.sync_detailed(client=nobody, body=m.SignIn(username="operator", password=password)), 200, m.TokenPair)
    refused = ok(sign_in.sync_detailed(client=nobody, body=m.SignIn(username="operator", password="wrong")), 401, m.Problem)
    assert refused.reason == "incorrect_credentials"

with AuthenticatedClient(base_url=url, token=pair.access) as client:
    wanted = m.NewStore(name="Generated", timezone="Europe/Berlin", currency="EUR")
    store = ok(create_store.sync_detailed(client=client, body=wanted), 201, m.Store)
    assert isinstance(store.id, uuid.UUID)

    price = m.Money(amount=250, currency="EUR")
    wanted = m.NewProduct(store_id=store.id, name="Espresso", price=price, sku="ESP", stock=9)
    product = ok(create_product.sync_detailed(client=client, body=wanted), 201, m.Product)
    assert (product.price, product.stock, product.description) == (price, 9, None)

    session = ok(
        open_session.sync_detailed(client=client, body=m.NewSession(store_id=store.id, name="Table 1")), 201, m.Session
    )
    assert session.state is m.SessionState.OPEN

    wanted = m.NewOrder(
        store_id=store.id,
        items=[m.NewItem(sku="ESP", quantity=2)],
        customer=m.Customer(name="Ada"),
        reference="generated-1",
    )
    placed = place_order.sync_detailed(client=client, body=wanted, idempotency_key="one")
    order = ok(placed, 201, m.Order)
    assert placed.headers["location"].endswith(str(order.id))
    assert order.total == m.Money(amount=500, currency="EUR")
    assert order.items[0].product_id == product.id
    assert isinstance(order.created_at, datetime.datetime) and order.created_at.tzinfo is not None
    assert order.ended_at is None and order.customer.name == "Ada"
    again = place_order.sync_detailed(client=client, body=wanted, idempotency_key="one")
    assert ok(again, 201, m.Order).id == order.id and again.headers["idempotency-replayed"] == "true"

    read = ok(get_order.sync_detailed(order.id, client=client), 200, m.Order)
    assert read.id == order.id and isinstance(read.status, m.OrderStatus)
    page = ok(list_orders.sync_detailed(client=client, store_id=store.id, limit=1), 200, m.OrderPage)
    assert [one.id for one in page.items] == [order.id] and page.next_cursor is None

    unknown = ok(get_order.sync_detailed(uuid.uuid4(), client=client), 404, m.Problem)
    assert unknown.reason == "not_found"
    blank = m.NewOrder(store_id=store.id, items=[m.NewItem(sku="ESP", quantity=0)])
    wrong = ok(place_order.sync_detailed(client=client, body=blank), 422, m.Problem)
    assert [error.pointer for error in wrong.errors] == ["/items/0/quantity"]

with Client(base_url=url) as guest:
    wanted = m.GuestsOrder(product_id=product.id)
    theirs = place_guest_order.sync_detailed(session.code, client=guest, body=wanted, expediter_guest="0123456789abcdef")
    theirs = ok(theirs, 201, m.GuestOrder)
    table = get_session.sync_detailed(session.code, client=guest, expediter_guest="0123456789abcdef")
    table = ok(table, 200, m.SessionWithOrders)
    assert [(one.id, one.mine) for one in table.orders] == [(theirs.id, True)]
    assert table.closed_at is None or table.closed_at is UNSET
