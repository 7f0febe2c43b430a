-- Names of a group in other languages than the store's, as JSON; NULL has none.
ALTER TABLE option_groups ADD COLUMN translations TEXT;
