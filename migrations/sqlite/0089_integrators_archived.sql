-- The sweep: whose handoffs are to be withdrawn.
CREATE INDEX integrators_archived ON integrators (archived_at);
