-- Hours, opening by hand, capacity and busy mode, as JSON. Null: the store takes all orders at once. Beside the counters, because
-- intake locks and reads this row anyway.
ALTER TABLE store_counters ADD COLUMN rules JSON DEFAULT NULL;
