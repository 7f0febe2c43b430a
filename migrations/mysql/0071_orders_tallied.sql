-- Counted in its store's row of order_tallies.
ALTER TABLE orders ADD COLUMN tallied BOOLEAN NOT NULL DEFAULT 0;
