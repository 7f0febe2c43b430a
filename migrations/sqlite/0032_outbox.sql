-- What is committed and not yet confirmed by the broker. A claim moves not_before, so that nobody else sends it too.
CREATE TABLE outbox (
    id BLOB NOT NULL PRIMARY KEY,
    announcement TEXT NOT NULL,
    not_before TEXT NOT NULL,
    failures INTEGER NOT NULL,
    parked INTEGER NOT NULL,
    error TEXT,
    created_at TEXT NOT NULL
) STRICT;
