ALTER TABLE stores ADD COLUMN deliver_accepted_after_h INTEGER DEFAULT NULL; -- the sweep delivers accepted orders after these hours
