CREATE TABLE order_items (
    id BLOB NOT NULL PRIMARY KEY,
    order_id BLOB NOT NULL,
    position INTEGER NOT NULL,
    product_id BLOB NOT NULL,
    sku BLOB,
    name TEXT NOT NULL,
    quantity INTEGER NOT NULL,
    unit_amount INTEGER NOT NULL,
    note TEXT,
    counted INTEGER NOT NULL,
    UNIQUE (order_id, position)
) STRICT;
