-- Options that products of a store offer, in groups that several products share.
CREATE TABLE option_groups (
    id         BINARY(16)   NOT NULL PRIMARY KEY,
    store_id   BINARY(16)   NOT NULL,
    name       VARCHAR(100) NOT NULL,
    min_chosen BIGINT       NOT NULL, -- fewest and most options of the group that an item has, with their quantities
    max_chosen BIGINT       NOT NULL,
    position   BIGINT       NOT NULL,
    options    MEDIUMTEXT   NOT NULL, -- JSON
    version    BIGINT       NOT NULL,
    created_at DATETIME(6)  NOT NULL,
    UNIQUE (store_id, id)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
