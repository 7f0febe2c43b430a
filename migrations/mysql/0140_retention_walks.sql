-- Retention and the archive walk over old rows by their ids, one process at a time: it locks the row of its walk.
CREATE TABLE retention_walks (
    kind     VARCHAR(20) NOT NULL, -- contact, messages, events, orders, sessions, store_events or archive
    last_id  BINARY(16)  NOT NULL, -- the walk goes on after this row
    files    BIGINT      NOT NULL, -- number of the last file of the archive
    moved_at DATETIME(6) NOT NULL,
    PRIMARY KEY (kind)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
