CREATE INDEX integrators_of_store ON integrators (store_id, id);
