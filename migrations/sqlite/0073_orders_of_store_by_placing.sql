-- A store's orders of some days.
CREATE INDEX orders_of_store_by_placing ON orders (store_id, placed_at, id);
