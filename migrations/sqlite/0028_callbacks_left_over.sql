CREATE INDEX callbacks_left_over ON callbacks (applied_at, received_at);
