-- A place that sells. Its order numbers and the numbers of its own stream are counted in store_counters.
CREATE TABLE stores (
    id BLOB NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    timezone TEXT NOT NULL,
    currency TEXT NOT NULL,
    phone TEXT,
    email TEXT,
    address TEXT,
    lat REAL,
    lng REAL,
    auto_accept INTEGER NOT NULL,
    accept_within_s INTEGER NOT NULL,
    paused INTEGER NOT NULL,
    archived_at TEXT,
    version INTEGER NOT NULL,
    created_at TEXT NOT NULL
) STRICT;
