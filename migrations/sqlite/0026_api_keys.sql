-- Keys of programs. Each key is an account of its own, of the role manager and without a password, whose stores are the
-- key's. Only a hash of the key is stored.
CREATE TABLE api_keys (
    account_id   BLOB NOT NULL PRIMARY KEY,
    key_hash     BLOB NOT NULL,
    name         TEXT NOT NULL,
    actions      TEXT NOT NULL, -- words with a space between them; unknown ones allow nothing
    made_by      BLOB NOT NULL, -- the account that made it; the key has no more rights than this one
    created_at   TEXT NOT NULL,
    expires_at   TEXT,
    last_used_at TEXT, -- written at most once a minute
    ended_at     TEXT, -- revoked, or its maker may no longer have it
    UNIQUE (key_hash),
    UNIQUE (made_by, account_id)
) STRICT;
