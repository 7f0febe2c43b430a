-- Chosen options as sold, as JSON, and which of them took stock. Null: none. No JSON column, whose check MariaDB adds
-- only by copying the table.
ALTER TABLE order_items ADD COLUMN options MEDIUMTEXT DEFAULT NULL;
