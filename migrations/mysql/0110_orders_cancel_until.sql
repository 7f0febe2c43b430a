ALTER TABLE orders ADD COLUMN cancel_until VARCHAR(20) DEFAULT NULL; -- last status in which its owner or guest may cancel it; null: accepted
