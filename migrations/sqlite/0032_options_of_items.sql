-- Chosen options as sold, as JSON, and which of them took stock. Null: none.
ALTER TABLE order_items ADD COLUMN options TEXT DEFAULT NULL;
