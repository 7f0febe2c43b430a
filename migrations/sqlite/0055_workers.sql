-- Workers that run, or did a moment ago: among those heard of lately each integrator's cap and rate are divided.
CREATE TABLE workers (
    id BLOB NOT NULL PRIMARY KEY,
    label TEXT NOT NULL,
    started_at TEXT NOT NULL,
    seen_at TEXT NOT NULL
) STRICT;
