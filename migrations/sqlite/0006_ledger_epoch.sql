-- The ledger's epoch, one row. Stream numbers that were given out in another epoch are void: a new one begins when the
-- ledger lost commits or may have lost some (docs/adr/0028-streams-have-an-epoch.md).
CREATE TABLE ledger_epoch (
    id       INT     NOT NULL PRIMARY KEY, -- always 1
    epoch    BLOB    NOT NULL,
    home     BLOB    NOT NULL, -- the server, or the cluster, on which it began
    began_at TEXT    NOT NULL
) STRICT;
