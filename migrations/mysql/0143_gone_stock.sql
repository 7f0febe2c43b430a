-- Per product: the counted pieces that orders held which retention deleted.
CREATE TABLE gone_stock (
    product_id BINARY(16) NOT NULL,
    quantity   BIGINT     NOT NULL,
    PRIMARY KEY (product_id)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
