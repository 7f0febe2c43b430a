CREATE INDEX changes_of_actor ON changes (actor_id, id);
