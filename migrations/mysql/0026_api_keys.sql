-- Keys of programs. Each key is an account of its own, of the role manager and without a password, whose stores are the
-- key's. Only a hash of the key is stored.
CREATE TABLE api_keys (
    account_id   BINARY(16)   NOT NULL PRIMARY KEY,
    key_hash     BINARY(32)   NOT NULL,
    name         VARCHAR(100) NOT NULL,
    actions      VARCHAR(500) NOT NULL, -- words with a space between them; unknown ones allow nothing
    made_by      BINARY(16)   NOT NULL, -- the account that made it; the key has no more rights than this one
    created_at   DATETIME(6)  NOT NULL,
    expires_at   DATETIME(6),
    last_used_at DATETIME(6), -- written at most once a minute
    ended_at     DATETIME(6), -- revoked, or its maker may no longer have it
    UNIQUE (key_hash),
    UNIQUE (made_by, account_id)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
