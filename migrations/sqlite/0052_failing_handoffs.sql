-- The ids, one after the other, of the first different handoffs among the failures in a row: three at most.
ALTER TABLE integrators ADD COLUMN failing_handoffs BLOB DEFAULT NULL;
