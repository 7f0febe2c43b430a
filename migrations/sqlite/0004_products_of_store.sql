CREATE INDEX products_of_store ON products (store_id, id);
