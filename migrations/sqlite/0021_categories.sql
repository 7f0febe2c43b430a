-- Headings of a store's menu.
CREATE TABLE categories (
    id           BLOB    NOT NULL PRIMARY KEY,
    store_id     BLOB    NOT NULL,
    name         TEXT    NOT NULL,
    description  TEXT,
    position     INTEGER NOT NULL,
    weight       INTEGER NOT NULL, -- units of kitchen capacity that one piece of a product takes
    translations TEXT    NOT NULL, -- by language
    version      INTEGER NOT NULL,
    created_at   TEXT    NOT NULL,
    UNIQUE (store_id, id)
) STRICT;
