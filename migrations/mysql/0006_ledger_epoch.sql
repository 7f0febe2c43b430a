-- The ledger's epoch, one row. Stream numbers that were given out in another epoch are void: a new one begins when the
-- ledger lost commits or may have lost some (docs/adr/0028-streams-have-an-epoch.md).
CREATE TABLE ledger_epoch (
    id       INT           NOT NULL PRIMARY KEY, -- always 1
    epoch    BINARY(16)    NOT NULL,
    home     VARBINARY(255) NOT NULL, -- the server, or the cluster, on which it began
    began_at DATETIME(6)   NOT NULL
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
