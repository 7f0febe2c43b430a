-- Language of a store's names and descriptions, as a tag: de, pt-BR.
ALTER TABLE stores ADD COLUMN language TEXT NOT NULL DEFAULT 'en';
