CREATE TABLE products (
    id           BINARY(16)    NOT NULL PRIMARY KEY,
    store_id     BINARY(16)    NOT NULL,
    sku          VARBINARY(100),
    name         VARCHAR(200)  NOT NULL,
    description  VARCHAR(2000),
    price_amount BIGINT        NOT NULL,
    currency     CHAR(3)       NOT NULL,
    available    BOOLEAN       NOT NULL,
    archived_at  DATETIME(6),
    version      BIGINT        NOT NULL,
    created_at   DATETIME(6)   NOT NULL,
    UNIQUE (store_id, sku)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
