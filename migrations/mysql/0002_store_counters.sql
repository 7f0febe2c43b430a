-- Counted apart from the store's settings, so that intake never waits for somebody who edits them.
CREATE TABLE store_counters (
    store_id    BINARY(16) NOT NULL PRIMARY KEY,
    last_number BIGINT     NOT NULL,
    last_seq    BIGINT     NOT NULL
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
