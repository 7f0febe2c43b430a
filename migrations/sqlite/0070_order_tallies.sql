-- Of each store the placed orders with numbers up to up_to, counted. Those are marked as orders.tallied, and what becomes
-- of one of them later is counted here in the same transaction.
CREATE TABLE order_tallies (
    store_id BLOB NOT NULL PRIMARY KEY,
    up_to INTEGER NOT NULL,
    pending INTEGER NOT NULL,
    processing INTEGER NOT NULL,
    accepted INTEGER NOT NULL,
    preparing INTEGER NOT NULL,
    ready INTEGER NOT NULL,
    dispatched INTEGER NOT NULL,
    delivered INTEGER NOT NULL,
    rejected INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    cancelled INTEGER NOT NULL,
    ever_accepted INTEGER NOT NULL,
    acceptance_us INTEGER NOT NULL
) STRICT;
