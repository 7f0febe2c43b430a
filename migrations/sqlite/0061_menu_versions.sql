-- Counts the changes of a store's menu, except orders, which the store's last order number counts (ADR 41).
CREATE TABLE menu_versions (
    store_id BLOB    NOT NULL PRIMARY KEY,
    version  INTEGER NOT NULL
) STRICT;
