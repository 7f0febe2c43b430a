-- owner is the account's id or, for a guest, the session's.
CREATE TABLE idempotency_keys (
    owner           BINARY(16)     NOT NULL,
    idempotency_key VARBINARY(200) NOT NULL,
    fingerprint     BINARY(32)     NOT NULL,
    resource_id     BINARY(16)     NOT NULL,
    created_at      DATETIME(6)    NOT NULL,
    PRIMARY KEY (owner, idempotency_key)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
