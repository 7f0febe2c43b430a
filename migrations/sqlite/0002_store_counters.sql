-- Counted apart from the store's settings, so that intake never waits for somebody who edits them.
CREATE TABLE store_counters (
    store_id BLOB NOT NULL PRIMARY KEY,
    last_number INTEGER NOT NULL,
    last_seq INTEGER NOT NULL
) STRICT;
