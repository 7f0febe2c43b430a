-- A product that is not available comes back by itself at this time. Null: people have to offer it again.
ALTER TABLE products ADD COLUMN available_from TEXT;
