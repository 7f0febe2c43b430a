CREATE INDEX events_of_order ON events (order_id, seq);
