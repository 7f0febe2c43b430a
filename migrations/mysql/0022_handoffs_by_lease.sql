-- The sweep: whose lease ran out.
CREATE INDEX handoffs_by_lease ON handoffs (state, leased_until);
