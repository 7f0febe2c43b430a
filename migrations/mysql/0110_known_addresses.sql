-- One row an account's name and client address from which its owner has signed in lately; a mark is a hash of both.
CREATE TABLE known_addresses (
    mark       BINARY(32)  NOT NULL,
    expires_at DATETIME(6) NOT NULL,
    PRIMARY KEY (mark)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
