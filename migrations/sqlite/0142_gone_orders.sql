-- Per store: counts of the orders that retention deleted. Its tally still contains them.
CREATE TABLE gone_orders (
    store_id      BLOB    NOT NULL PRIMARY KEY,
    orders        INTEGER NOT NULL,
    delivered     INTEGER NOT NULL,
    rejected      INTEGER NOT NULL,
    failed        INTEGER NOT NULL,
    cancelled     INTEGER NOT NULL,
    ever_accepted INTEGER NOT NULL
) STRICT;
