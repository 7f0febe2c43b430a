CREATE INDEX live_tickets_by_expiry ON live_tickets (expires_at);
