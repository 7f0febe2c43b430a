-- Products that an outside service lists, by its own id, and whether it did so when it was asked last.
CREATE TABLE outside_products (
    store_id    BINARY(16)     NOT NULL,
    external_id VARBINARY(100) NOT NULL,
    product_id  BINARY(16)     NOT NULL,
    listed      BOOLEAN        NOT NULL,
    PRIMARY KEY (store_id, external_id),
    UNIQUE (product_id)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
