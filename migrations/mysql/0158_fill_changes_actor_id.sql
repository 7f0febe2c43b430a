-- People make few changes, so that one statement does it.
UPDATE changes SET actor_id = UNHEX(REPLACE(JSON_UNQUOTE(JSON_EXTRACT(actor, '$.id')), '-', '')) WHERE actor_id IS NULL;
