CREATE INDEX orders_by_placing ON orders (placed_at, id);
