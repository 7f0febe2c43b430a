ALTER TABLE orders ADD COLUMN hand_over_at TEXT DEFAULT NULL; -- of an order for later: not handed over before; null: handed over when placed
