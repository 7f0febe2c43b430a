-- Options that products of a store offer, in groups that several products share.
CREATE TABLE option_groups (
    id         BLOB    NOT NULL PRIMARY KEY,
    store_id   BLOB    NOT NULL,
    name       TEXT    NOT NULL,
    min_chosen INTEGER NOT NULL, -- fewest and most options of the group that an item has, with their quantities
    max_chosen INTEGER NOT NULL,
    position   INTEGER NOT NULL,
    options    TEXT    NOT NULL, -- JSON
    version    INTEGER NOT NULL,
    created_at TEXT    NOT NULL,
    UNIQUE (store_id, id)
) STRICT;
