-- One row a wrong password and mark; a mark is a hash of the username or of the client's address.
CREATE TABLE sign_in_failures (
    mark       BINARY(32)  NOT NULL,
    expires_at DATETIME(6) NOT NULL,
    id         BINARY(16)  NOT NULL,
    PRIMARY KEY (mark, expires_at, id)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
