-- People look for what failed, is held or is parked, newest first.
CREATE INDEX handoffs_of_state ON handoffs (state, id);
