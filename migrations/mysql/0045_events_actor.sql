ALTER TABLE events ADD COLUMN actor JSON DEFAULT NULL; -- actor that caused it; null if that was not noted then
