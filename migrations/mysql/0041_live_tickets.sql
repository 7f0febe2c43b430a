-- One use each; only hashes.
CREATE TABLE live_tickets (
    ticket_hash BINARY(32)  NOT NULL PRIMARY KEY,
    account_id  BINARY(16)  NOT NULL,
    subject     VARCHAR(10) NOT NULL,
    subject_id  BINARY(16)  NOT NULL,
    expires_at  DATETIME(6) NOT NULL
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
