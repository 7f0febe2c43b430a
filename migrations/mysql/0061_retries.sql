-- What people had tried again: one handoff, or all that fitted a filter. finished_at is null while it runs, or where it
-- broke off; its counts are then of what was done by its last page.
CREATE TABLE retries (
    id          BINARY(16)  NOT NULL PRIMARY KEY,
    account_id  BINARY(16)  NOT NULL,
    store_id    BINARY(16),
    filter      JSON        NOT NULL,
    matched     INT         NOT NULL,
    retried     INT         NOT NULL,
    refused     JSON        NOT NULL,
    started_at  DATETIME(6) NOT NULL,
    finished_at DATETIME(6),
    UNIQUE (store_id, id),
    UNIQUE (account_id, id)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
