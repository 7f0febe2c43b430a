CREATE TABLE events (
    stream_id BLOB NOT NULL,
    seq INTEGER NOT NULL,
    store_id BLOB NOT NULL,
    order_id BLOB,
    kind TEXT NOT NULL,
    at TEXT NOT NULL,
    data TEXT NOT NULL,
    PRIMARY KEY (stream_id, seq)
) STRICT;
