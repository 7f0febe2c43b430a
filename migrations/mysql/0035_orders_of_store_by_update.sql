CREATE INDEX orders_of_store_by_update ON orders (store_id, updated_at, id); -- a store's orders that changed after a time
