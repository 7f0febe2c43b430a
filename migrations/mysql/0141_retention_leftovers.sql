-- Rows that a walk has passed and left, because they were open; it looks at them again later.
CREATE TABLE retention_leftovers (
    kind    VARCHAR(20) NOT NULL, -- in retention_walks
    row_id  BINARY(16)  NOT NULL,
    look_at DATETIME(6) NOT NULL,
    PRIMARY KEY (kind, row_id),
    UNIQUE (kind, look_at, row_id)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
