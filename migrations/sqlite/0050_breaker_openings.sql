-- How often the breaker has opened since it was last closed: each time for longer.
ALTER TABLE integrators ADD COLUMN breaker_openings INTEGER NOT NULL DEFAULT 0;
