-- What people changed. What orders hold stands in order_items; `expediter audit` compares the two with stock.
CREATE TABLE stock_movements (
    id         BINARY(16)   NOT NULL PRIMARY KEY,
    product_id BINARY(16)   NOT NULL,
    delta      BIGINT       NOT NULL,
    reason     VARCHAR(200) NOT NULL,
    account_id BINARY(16),
    created_at DATETIME(6)  NOT NULL
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
