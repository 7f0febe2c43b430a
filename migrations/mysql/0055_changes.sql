-- Changes by people and programs besides those of orders; kept for good, for they are few. One row per store.
CREATE TABLE changes (
    id         BINARY(16)  NOT NULL PRIMARY KEY,
    store_id   BINARY(16),
    subject    VARCHAR(20) NOT NULL,
    subject_id BINARY(16)  NOT NULL,
    action     VARCHAR(20) NOT NULL,
    at         DATETIME(6) NOT NULL,
    actor      JSON        NOT NULL,
    fields     JSON        NOT NULL -- each changed field with its value before and after; secrets have none
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
