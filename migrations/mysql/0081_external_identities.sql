-- Accounts as the verification service knows them: its user_id, and the key that is traded for tokens without it.
CREATE TABLE external_identities (
    account_id       BINARY(16)     NOT NULL PRIMARY KEY,
    user_id          VARBINARY(100) NOT NULL,
    session_key_hash BINARY(32)     NOT NULL,
    created_at       DATETIME(6)    NOT NULL,
    UNIQUE (user_id)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
