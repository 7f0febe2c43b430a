ALTER TABLE accounts ADD COLUMN username_key VARBINARY(100) DEFAULT NULL; -- username in small letters; null for the younger of two that an earlier version let differ by case only
