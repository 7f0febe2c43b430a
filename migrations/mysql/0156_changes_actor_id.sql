ALTER TABLE changes ADD COLUMN actor_id BINARY(16) DEFAULT NULL; -- the id in actor
