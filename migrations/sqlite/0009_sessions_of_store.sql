CREATE INDEX sessions_of_store ON sessions (store_id, state, id);
