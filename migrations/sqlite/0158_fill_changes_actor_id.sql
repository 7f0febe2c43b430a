-- People make few changes, so that one statement does it.
UPDATE changes SET actor_id = unhex(replace(json_extract(actor, '$.id'), '-', '')) WHERE actor_id IS NULL;
