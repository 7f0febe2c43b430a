-- Products that an outside service lists, by its own id, and whether it did so when it was asked last.
CREATE TABLE outside_products (
    store_id BLOB NOT NULL,
    external_id BLOB NOT NULL,
    product_id BLOB NOT NULL,
    listed INTEGER NOT NULL,
    PRIMARY KEY (store_id, external_id),
    UNIQUE (product_id)
) STRICT;
