CREATE INDEX sign_in_failures_by_expiry ON sign_in_failures (expires_at);
