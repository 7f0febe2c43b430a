ALTER TABLE changes ADD COLUMN address VARCHAR(45) DEFAULT NULL; -- client address of the request, for IPv6 its /64; null if there was none or it was not noted then
