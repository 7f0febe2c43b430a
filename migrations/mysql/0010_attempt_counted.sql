-- False for an attempt that uses up none of max_attempts, because the integrator said "slow down".
ALTER TABLE attempts ADD COLUMN counted BOOLEAN NOT NULL DEFAULT 1;
