-- Counts the changes of a store's menu, except orders, which the store's last order number counts (ADR 41).
CREATE TABLE menu_versions (
    store_id BINARY(16) NOT NULL PRIMARY KEY,
    version  BIGINT     NOT NULL
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
