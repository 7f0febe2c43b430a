ALTER TABLE stores ADD COLUMN deliver_accepted_after_h INT DEFAULT NULL; -- the sweep delivers accepted orders after these hours
