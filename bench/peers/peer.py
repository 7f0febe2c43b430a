"""Peer of the benchmark: takes orders and hands them to an integrator with FastAPI, SQLAlchemy and Celery.

A request is one transaction: stock that cannot fall below 0, the order, its three items. After the commit a task is
published with a confirm; it reads the order, POSTs it to the integrator and marks it as accepted. Failed attempts are
tried again, and a task is acknowledged when it is done. There is no outbox: an order whose task is not published after
its commit is lost to the integrator, which is one of the differences that the comparison is about.

`python peer.py` creates the tables. Settings come from PEER_DATABASE (user:password@host:port/name), PEER_BROKER,
PEER_QUEUE, PEER_INTEGRATOR and PEER_PROCESSES.
"""

import json
import os
import uuid
from datetime import datetime, timezone

import requests
from celery import Celery
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel, Field
from sqlalchemy import create_engine, text
from sqlalchemy.ext.asyncio import create_async_engine

DATABASE = os.environ["PEER_DATABASE"]
BROKER = os.environ["PEER_BROKER"]
QUEUE = os.environ["PEER_QUEUE"]
INTEGRATOR = os.environ["PEER_INTEGRATOR"]
PRODUCTS = 50
PRICE = 250
TIMEOUT_S = 10

TABLES = [
    "CREATE TABLE products (id BIGINT PRIMARY KEY, name VARCHAR(80) NOT NULL, price BIGINT NOT NULL, stock BIGINT NOT NULL)",
    "CREATE TABLE orders (id BINARY(16) PRIMARY KEY, store_id BIGINT NOT NULL, reference VARCHAR(64) UNIQUE, "
    "status VARCHAR(16) NOT NULL, total BIGINT NOT NULL, created_at DATETIME(6) NOT NULL)",
    "CREATE TABLE items (id BIGINT AUTO_INCREMENT PRIMARY KEY, order_id BINARY(16) NOT NULL, product_id BIGINT NOT NULL, "
    "quantity INT NOT NULL, price BIGINT NOT NULL, KEY (order_id))",
]
TAKE_STOCK = text("UPDATE products SET stock = stock - :quantity WHERE id = :product AND stock >= :quantity")
INSERT_ORDER = text("INSERT INTO orders VALUES (:id, :store, :reference, 'pending', :total, :now)")
INSERT_ITEM = text("INSERT INTO items (order_id, product_id, quantity, price) VALUES (:id, :product, :quantity, :price)")
READ_ITEMS = text("SELECT product_id, quantity FROM items WHERE order_id = :id")
SET_STATUS = text("UPDATE orders SET status = :status WHERE id = :id")

celery = Celery("peer", broker=BROKER)
celery.conf.update(
    broker_connection_retry_on_startup=True,
    broker_transport_options={"confirm_publish": True},
    task_acks_late=True,
    task_default_queue=QUEUE,
    task_ignore_result=True,
    worker_prefetch_multiplier=16,
)


def create_tables():
    engine = create_engine(f"mysql+pymysql://{DATABASE}")
    with engine.begin() as connection:
        for table in TABLES:
            connection.execute(text(table))
        for product in range(1, PRODUCTS + 1):
            values = {"id": product, "name": f"Dish {product}", "price": PRICE, "stock": 1_000_000_000}
            connection.execute(text("INSERT INTO products VALUES (:id, :name, :price, :stock)"), values)
    engine.dispose()


# --- intake -------------------------------------------------------------------------------------------------------


class Item(BaseModel):
    product_id: int
    quantity: int = Field(ge=1, le=99)


class NewOrder(BaseModel):
    store_id: int
    reference: str | None = None
    items: list[Item] = Field(min_length=1, max_length=100)


app = FastAPI()
intake = create_async_engine(f"mysql+asyncmy://{DATABASE}", pool_size=16, max_overflow=16)


@app.get("/ready")
async def ready():
    return {"ready": True}


@app.post("/orders", status_code=201)
async def place(order: NewOrder):
    id = uuid.uuid4()
    total = sum(PRICE * item.quantity for item in order.items)
    async with intake.begin() as connection:
        # In one sequence, so that two orders cannot wait for each other.
        for item in sorted(order.items, key=lambda item: item.product_id):
            values = {"product": item.product_id, "quantity": item.quantity}
            taken = await connection.execute(TAKE_STOCK, values)
            if taken.rowcount != 1:
                raise HTTPException(409, "insufficient_stock")
        now = datetime.now(timezone.utc).replace(tzinfo=None)
        values = {"id": id.bytes, "store": order.store_id, "reference": order.reference, "total": total, "now": now}
        await connection.execute(INSERT_ORDER, values)
        items = [
            {"id": id.bytes, "product": item.product_id, "quantity": item.quantity, "price": PRICE}
            for item in order.items
        ]
        await connection.execute(INSERT_ITEM, items)
    deliver.delay(str(id))
    return {"id": str(id), "status": "pending", "total": total}


# --- delivery -----------------------------------------------------------------------------------------------------

# Opened by the first task of each process.
outgoing = None


class Outgoing:
    def __init__(self):
        self.database = create_engine(f"mysql+pymysql://{DATABASE}", pool_size=2)
        self.http = requests.Session()


@celery.task(bind=True, max_retries=4)
def deliver(self, order):
    global outgoing
    outgoing = outgoing or Outgoing()
    id = uuid.UUID(order).bytes
    with outgoing.database.begin() as connection:
        connection.execute(SET_STATUS, {"status": "processing", "id": id})
        rows = connection.execute(READ_ITEMS, {"id": id}).fetchall()
    items = [{"id": str(product), "quantity": str(quantity)} for product, quantity in rows]
    body = json.dumps({"order": {"id": order, "items": items}})
    headers = {"Content-Type": "application/json"}
    try:
        outgoing.http.post(INTEGRATOR, data=body, headers=headers, timeout=TIMEOUT_S).raise_for_status()
    except requests.RequestException as error:
        raise self.retry(exc=error, countdown=2**self.request.retries)
    with outgoing.database.begin() as connection:
        connection.execute(SET_STATUS, {"status": "accepted", "id": id})


if __name__ == "__main__":
    create_tables()
