CREATE INDEX outbox_due ON outbox (parked, not_before);
