ALTER TABLE changes ADD COLUMN actor_id BLOB DEFAULT NULL; -- the id in actor
