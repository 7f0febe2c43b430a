ALTER TABLE accounts ADD COLUMN username_key BLOB DEFAULT NULL; -- username in small letters; null for the younger of two that an earlier version let differ by case only
