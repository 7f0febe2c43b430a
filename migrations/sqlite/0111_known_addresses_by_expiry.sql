CREATE INDEX known_addresses_by_expiry ON known_addresses (expires_at);
