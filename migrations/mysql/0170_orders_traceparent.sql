-- Place in a distributed trace of the request that made the order (W3C Trace Context); NULL if that is not recorded.
ALTER TABLE orders ADD COLUMN traceparent VARCHAR(55) DEFAULT NULL;
