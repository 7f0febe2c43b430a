-- The handoff whose attempt is the probe.
ALTER TABLE integrators ADD COLUMN breaker_probe BLOB DEFAULT NULL;
