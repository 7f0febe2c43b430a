-- owner is the account's id or, for a guest, the session's.
CREATE TABLE idempotency_keys (
    owner BLOB NOT NULL,
    idempotency_key BLOB NOT NULL,
    fingerprint BLOB NOT NULL,
    resource_id BLOB NOT NULL,
    created_at TEXT NOT NULL,
    PRIMARY KEY (owner, idempotency_key)
) STRICT;
