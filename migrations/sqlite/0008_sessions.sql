-- open_key is the normalised name while the session is open, so that a name is unique among open ones only.
CREATE TABLE sessions (
    id BLOB NOT NULL PRIMARY KEY,
    store_id BLOB NOT NULL,
    code BLOB NOT NULL,
    name TEXT NOT NULL,
    open_key BLOB,
    state TEXT NOT NULL,
    opened_at TEXT NOT NULL,
    closed_at TEXT,
    last_seq INTEGER NOT NULL,
    UNIQUE (code),
    UNIQUE (store_id, open_key)
) STRICT;
