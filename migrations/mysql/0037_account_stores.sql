CREATE TABLE account_stores (
    account_id BINARY(16) NOT NULL,
    store_id   BINARY(16) NOT NULL,
    PRIMARY KEY (account_id, store_id)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
