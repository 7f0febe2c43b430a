-- The change of an order that made the handoff, as its message tells it; null for a test message, and for rows that an
-- older version made.
ALTER TABLE handoffs ADD COLUMN cause JSON DEFAULT NULL;
