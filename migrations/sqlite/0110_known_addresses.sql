-- One row an account's name and client address from which its owner has signed in lately; a mark is a hash of both.
CREATE TABLE known_addresses (
    mark BLOB NOT NULL,
    expires_at TEXT NOT NULL,
    PRIMARY KEY (mark)
) STRICT;
