CREATE INDEX orders_of_store_by_wanted ON orders (store_id, wanted_at, id); -- a store's calendar
