-- Capacity that orders hold. Rows are added and raised only while the store's counters are locked, so that a sum of them is exact.
CREATE TABLE slot_holds (
    store_id   BLOB    NOT NULL,
    ready_at   TEXT    NOT NULL, -- decides the slot
    order_id   BLOB    NOT NULL,
    fulfilment TEXT    NOT NULL,
    items      INTEGER NOT NULL,
    weight     INTEGER NOT NULL,
    PRIMARY KEY (store_id, ready_at, order_id),
    UNIQUE (order_id)
) STRICT;
