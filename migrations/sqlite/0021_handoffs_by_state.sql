-- The sweep: what is due anywhere.
CREATE INDEX handoffs_by_state ON handoffs (state, due_at);
