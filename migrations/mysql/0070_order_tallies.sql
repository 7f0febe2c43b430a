-- Of each store the placed orders with numbers up to up_to, counted. Those are marked as orders.tallied, and what becomes
-- of one of them later is counted here in the same transaction.
CREATE TABLE order_tallies (
    store_id        BINARY(16) NOT NULL PRIMARY KEY,
    up_to           BIGINT     NOT NULL,
    pending         BIGINT     NOT NULL,
    processing      BIGINT     NOT NULL,
    accepted        BIGINT     NOT NULL,
    preparing       BIGINT     NOT NULL,
    ready           BIGINT     NOT NULL,
    dispatched      BIGINT     NOT NULL,
    delivered       BIGINT     NOT NULL,
    rejected        BIGINT     NOT NULL,
    failed          BIGINT     NOT NULL,
    cancelled       BIGINT     NOT NULL,
    ever_accepted   BIGINT     NOT NULL,
    acceptance_us   BIGINT     NOT NULL
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
