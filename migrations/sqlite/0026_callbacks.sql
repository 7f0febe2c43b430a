-- Stored as soon as it is verified; applied_at is null until a worker has applied it, whatever the result.
CREATE TABLE callbacks (
    id BLOB NOT NULL PRIMARY KEY,
    integrator_id BLOB NOT NULL,
    webhook_id BLOB NOT NULL,
    order_id BLOB,
    reference BLOB,
    payload TEXT NOT NULL,
    received_at TEXT NOT NULL,
    applied_at TEXT,
    result TEXT,
    detail TEXT,
    sequence INTEGER,
    occurred_at TEXT,
    failures INTEGER NOT NULL,
    UNIQUE (integrator_id, webhook_id)
) STRICT;
