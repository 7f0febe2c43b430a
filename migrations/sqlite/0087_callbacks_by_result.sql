-- The stuck list: what came to nothing lately, however much came to something.
CREATE INDEX callbacks_by_result ON callbacks (result, applied_at);
