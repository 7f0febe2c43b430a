-- Ids of the product's option groups, as JSON, in the order in which they are offered. Null: none.
ALTER TABLE products ADD COLUMN option_group_ids TEXT DEFAULT NULL;
