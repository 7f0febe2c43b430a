-- Who opened a round of a handoff by hand, and when. The first round opens by itself.
CREATE TABLE handoff_rounds (
    handoff_id BLOB NOT NULL,
    round INTEGER NOT NULL,
    retry_id BLOB NOT NULL,
    account_id BLOB NOT NULL,
    opened_at TEXT NOT NULL,
    due_at TEXT NOT NULL,
    PRIMARY KEY (handoff_id, round)
) STRICT;
