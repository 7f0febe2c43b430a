-- Written before the request leaves: a crash leaves a row without outcome, which the sweep closes as unknown.
CREATE TABLE attempts (
    id BLOB NOT NULL PRIMARY KEY,
    handoff_id BLOB NOT NULL,
    round INTEGER NOT NULL,
    n INTEGER NOT NULL,
    fence INTEGER NOT NULL,
    started_at TEXT NOT NULL,
    ended_at TEXT,
    outcome TEXT,
    http_status INTEGER,
    error TEXT,
    response BLOB,
    UNIQUE (handoff_id, round, n)
) STRICT;
