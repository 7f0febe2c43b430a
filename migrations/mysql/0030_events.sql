CREATE TABLE events (
    stream_id BINARY(16)  NOT NULL,
    seq       BIGINT      NOT NULL,
    store_id  BINARY(16)  NOT NULL,
    order_id  BINARY(16),
    kind      VARCHAR(40) NOT NULL,
    at        DATETIME(6) NOT NULL,
    data      JSON        NOT NULL,
    PRIMARY KEY (stream_id, seq)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
