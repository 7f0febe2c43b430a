CREATE INDEX changes_of_store ON changes (store_id, id);
