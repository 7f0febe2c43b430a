-- What people had tried again: one handoff, or all that fitted a filter. finished_at is null while it runs, or where it
-- broke off; its counts are then of what was done by its last page.
CREATE TABLE retries (
    id BLOB NOT NULL PRIMARY KEY,
    account_id BLOB NOT NULL,
    store_id BLOB,
    filter TEXT NOT NULL,
    matched INTEGER NOT NULL,
    retried INTEGER NOT NULL,
    refused TEXT NOT NULL,
    started_at TEXT NOT NULL,
    finished_at TEXT,
    UNIQUE (store_id, id),
    UNIQUE (account_id, id)
) STRICT;
