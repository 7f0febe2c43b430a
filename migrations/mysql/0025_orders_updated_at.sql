ALTER TABLE orders ADD COLUMN updated_at DATETIME(6) DEFAULT NULL; -- last change that people or programs can see; null if that was before this column
