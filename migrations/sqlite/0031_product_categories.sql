-- The categories that a product is listed in.
CREATE TABLE product_categories (
    product_id  BLOB    NOT NULL,
    category_id BLOB    NOT NULL,
    position    INTEGER NOT NULL,
    PRIMARY KEY (product_id, category_id),
    UNIQUE (category_id, product_id)
) STRICT;
