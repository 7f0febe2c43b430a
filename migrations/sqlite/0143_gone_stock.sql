-- Per product: the counted pieces that orders held which retention deleted.
CREATE TABLE gone_stock (
    product_id BLOB    NOT NULL PRIMARY KEY,
    quantity   INTEGER NOT NULL
) STRICT;
