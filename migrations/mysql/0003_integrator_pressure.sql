-- Pace of an integrator that says "slow down", as JSON: its pause and the rate that was learned. Null: nothing is known.
ALTER TABLE integrators ADD COLUMN pressure VARCHAR(300) DEFAULT NULL;
