-- Headings of a store's menu.
CREATE TABLE categories (
    id           BINARY(16)   NOT NULL PRIMARY KEY,
    store_id     BINARY(16)   NOT NULL,
    name         VARCHAR(200) NOT NULL,
    description  VARCHAR(2000),
    position     BIGINT       NOT NULL,
    weight       BIGINT       NOT NULL, -- units of kitchen capacity that one piece of a product takes
    translations JSON         NOT NULL, -- by language
    version      BIGINT       NOT NULL,
    created_at   DATETIME(6)  NOT NULL,
    UNIQUE (store_id, id)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
