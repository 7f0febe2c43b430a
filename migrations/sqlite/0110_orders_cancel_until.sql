ALTER TABLE orders ADD COLUMN cancel_until TEXT DEFAULT NULL; -- last status in which its owner or guest may cancel it; null: accepted
