ALTER TABLE orders ADD COLUMN ready_at DATETIME(6) DEFAULT NULL; -- when the order is expected to be ready
