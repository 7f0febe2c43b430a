CREATE INDEX callbacks_of_order ON callbacks (order_id, applied_at);
