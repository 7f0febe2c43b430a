ALTER TABLE orders ADD COLUMN wanted_at TEXT DEFAULT NULL; -- of an order for later; null: as soon as possible
