-- Attempts of the current round that do not count towards max_attempts, because the integrator said "slow down".
ALTER TABLE handoffs ADD COLUMN uncounted INTEGER NOT NULL DEFAULT 0;
