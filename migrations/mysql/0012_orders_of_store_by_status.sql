CREATE INDEX orders_of_store_by_status ON orders (store_id, status, id);
