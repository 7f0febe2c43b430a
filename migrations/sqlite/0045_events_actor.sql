ALTER TABLE events ADD COLUMN actor TEXT DEFAULT NULL; -- actor that caused it, as JSON; null if that was not noted then
