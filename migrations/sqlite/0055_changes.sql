-- Changes by people and programs besides those of orders; kept for good, for they are few. One row per store.
CREATE TABLE changes (
    id         BLOB NOT NULL PRIMARY KEY,
    store_id   BLOB,
    subject    TEXT NOT NULL,
    subject_id BLOB NOT NULL,
    action     TEXT NOT NULL,
    at         TEXT NOT NULL,
    actor      TEXT NOT NULL,
    fields     TEXT NOT NULL -- each changed field with its value before and after; secrets have none
) STRICT;
