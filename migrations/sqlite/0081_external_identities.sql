-- Accounts as the verification service knows them: its user_id, and the key that is traded for tokens without it.
CREATE TABLE external_identities (
    account_id BLOB NOT NULL PRIMARY KEY,
    user_id BLOB NOT NULL,
    session_key_hash BLOB NOT NULL,
    created_at TEXT NOT NULL,
    UNIQUE (user_id)
) STRICT;
