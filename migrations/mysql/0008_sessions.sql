-- open_key is the normalised name while the session is open, so that a name is unique among open ones only.
CREATE TABLE sessions (
    id         BINARY(16)     NOT NULL PRIMARY KEY,
    store_id   BINARY(16)     NOT NULL,
    code       VARBINARY(40)  NOT NULL,
    name       VARCHAR(100)   NOT NULL,
    open_key   VARBINARY(800),
    state      VARCHAR(10)    NOT NULL,
    opened_at  DATETIME(6)    NOT NULL,
    closed_at  DATETIME(6),
    last_seq   BIGINT         NOT NULL,
    UNIQUE (code),
    UNIQUE (store_id, open_key)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
