ALTER TABLE orders ADD COLUMN wanted_at DATETIME(6) DEFAULT NULL; -- of an order for later; null: as soon as possible
