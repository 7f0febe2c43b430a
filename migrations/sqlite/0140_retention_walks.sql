-- Retention and the archive walk over old rows by their ids, one process at a time: it locks the row of its walk.
CREATE TABLE retention_walks (
    kind     TEXT    NOT NULL PRIMARY KEY, -- contact, messages, events, orders, sessions, store_events or archive
    last_id  BLOB    NOT NULL, -- the walk goes on after this row
    files    INTEGER NOT NULL, -- number of the last file of the archive
    moved_at TEXT    NOT NULL
) STRICT;
