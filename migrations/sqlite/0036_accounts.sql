CREATE TABLE accounts (
    id BLOB NOT NULL PRIMARY KEY,
    username BLOB NOT NULL,
    password_hash TEXT NOT NULL,
    role TEXT NOT NULL,
    integrator_id BLOB,
    disabled INTEGER NOT NULL,
    created_at TEXT NOT NULL,
    UNIQUE (username)
) STRICT;
