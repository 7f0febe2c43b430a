-- Lead time and preparation in minutes, and the days that orders may lie ahead, as JSON. Null: the defaults.
ALTER TABLE stores ADD COLUMN timing JSON DEFAULT NULL;
