-- One row a wrong password and mark; a mark is a hash of the username or of the client's address.
CREATE TABLE sign_in_failures (
    mark BLOB NOT NULL,
    expires_at TEXT NOT NULL,
    id BLOB NOT NULL,
    PRIMARY KEY (mark, expires_at, id)
) STRICT;
