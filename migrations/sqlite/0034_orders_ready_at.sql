ALTER TABLE orders ADD COLUMN ready_at TEXT DEFAULT NULL; -- when the order is expected to be ready
