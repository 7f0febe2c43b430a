-- A product without a row is not counted and never runs out.
CREATE TABLE stock (
    product_id BINARY(16) NOT NULL PRIMARY KEY,
    quantity   BIGINT     NOT NULL,
    CHECK (quantity >= 0)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
