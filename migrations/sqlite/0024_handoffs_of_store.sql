CREATE INDEX handoffs_of_store ON handoffs (store_id, id);
