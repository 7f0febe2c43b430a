-- The categories that a product is listed in.
CREATE TABLE product_categories (
    product_id  BINARY(16) NOT NULL,
    category_id BINARY(16) NOT NULL,
    position    BIGINT     NOT NULL,
    PRIMARY KEY (product_id, category_id),
    UNIQUE (category_id, product_id)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
