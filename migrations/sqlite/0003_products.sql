CREATE TABLE products (
    id BLOB NOT NULL PRIMARY KEY,
    store_id BLOB NOT NULL,
    sku BLOB,
    name TEXT NOT NULL,
    description TEXT,
    price_amount INTEGER NOT NULL,
    currency TEXT NOT NULL,
    available INTEGER NOT NULL,
    archived_at TEXT,
    version INTEGER NOT NULL,
    created_at TEXT NOT NULL,
    UNIQUE (store_id, sku)
) STRICT;
