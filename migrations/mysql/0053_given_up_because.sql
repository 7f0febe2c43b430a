-- Why it is about to be disabled: noted with the outcome that decided it, until its store's stream is told.
ALTER TABLE integrators ADD COLUMN given_up_because VARCHAR(20) DEFAULT NULL;
