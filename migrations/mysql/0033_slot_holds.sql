-- Capacity that orders hold. Rows are added and raised only while the store's counters are locked, so that a sum of them is exact.
CREATE TABLE slot_holds (
    store_id   BINARY(16)  NOT NULL,
    ready_at   DATETIME(6) NOT NULL, -- decides the slot
    order_id   BINARY(16)  NOT NULL,
    fulfilment VARCHAR(20) NOT NULL,
    items      BIGINT      NOT NULL,
    weight     BIGINT      NOT NULL,
    PRIMARY KEY (store_id, ready_at, order_id),
    UNIQUE (order_id)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
