-- Rows that a walk has passed and left, because they were open; it looks at them again later.
CREATE TABLE retention_leftovers (
    kind    TEXT NOT NULL, -- in retention_walks
    row_id  BLOB NOT NULL,
    look_at TEXT NOT NULL,
    PRIMARY KEY (kind, row_id),
    UNIQUE (kind, look_at, row_id)
) STRICT;
