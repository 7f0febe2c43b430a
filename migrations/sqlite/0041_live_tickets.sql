-- One use each; only hashes.
CREATE TABLE live_tickets (
    ticket_hash BLOB NOT NULL PRIMARY KEY,
    account_id BLOB NOT NULL,
    subject TEXT NOT NULL,
    subject_id BLOB NOT NULL,
    expires_at TEXT NOT NULL
) STRICT;
