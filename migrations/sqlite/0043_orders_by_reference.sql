-- A callback may name an order by the reference that we sent.
CREATE INDEX orders_by_reference ON orders (store_id, reference);
