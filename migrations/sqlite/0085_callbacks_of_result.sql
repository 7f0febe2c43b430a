-- People look for what is parked or belongs to nothing, newest first.
CREATE INDEX callbacks_of_result ON callbacks (result, id);
