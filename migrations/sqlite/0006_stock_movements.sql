-- What people changed. What orders hold stands in order_items; `expediter audit` compares the two with stock.
CREATE TABLE stock_movements (
    id BLOB NOT NULL PRIMARY KEY,
    product_id BLOB NOT NULL,
    delta INTEGER NOT NULL,
    reason TEXT NOT NULL,
    account_id BLOB,
    created_at TEXT NOT NULL
) STRICT;
