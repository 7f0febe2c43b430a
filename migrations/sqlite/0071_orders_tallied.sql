-- Counted in its store's row of order_tallies.
ALTER TABLE orders ADD COLUMN tallied INTEGER NOT NULL DEFAULT 0;
