-- A callback that repeats a webhook id with another body is kept as well: with the id that it repeats here, and a hash of
-- id and body as its own webhook_id, since (integrator_id, webhook_id) is unique.
ALTER TABLE callbacks ADD COLUMN repeated_id BLOB DEFAULT NULL;
