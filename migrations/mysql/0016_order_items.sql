CREATE TABLE order_items (
    id          BINARY(16)   NOT NULL PRIMARY KEY,
    order_id    BINARY(16)   NOT NULL,
    position    INT          NOT NULL,
    product_id  BINARY(16)   NOT NULL,
    sku         VARBINARY(100),
    name        VARCHAR(200) NOT NULL,
    quantity    INT          NOT NULL,
    unit_amount BIGINT       NOT NULL,
    note        VARCHAR(500),
    counted     BOOLEAN      NOT NULL,
    UNIQUE (order_id, position)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
