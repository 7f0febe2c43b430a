-- Per store: counts of the orders that retention deleted. Its tally still contains them.
CREATE TABLE gone_orders (
    store_id      BINARY(16) NOT NULL,
    orders        BIGINT     NOT NULL,
    delivered     BIGINT     NOT NULL,
    rejected      BIGINT     NOT NULL,
    failed        BIGINT     NOT NULL,
    cancelled     BIGINT     NOT NULL,
    ever_accepted BIGINT     NOT NULL,
    PRIMARY KEY (store_id)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
