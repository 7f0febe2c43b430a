CREATE TABLE account_stores (
    account_id BLOB NOT NULL,
    store_id BLOB NOT NULL,
    PRIMARY KEY (account_id, store_id)
) STRICT;
