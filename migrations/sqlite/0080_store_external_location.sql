-- What the locations and products services call the store, where it is one of theirs.
ALTER TABLE stores ADD COLUMN external_location_id BLOB DEFAULT NULL;
