-- Set for a listener, whose handoffs are claimed over the API and which no worker sends to: archived after this time.
ALTER TABLE integrators ADD COLUMN listens_until DATETIME(6);
