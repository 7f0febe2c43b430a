-- Uploaded images of products. A row never changes: another image gets another id.
CREATE TABLE images (
    id           BINARY(16)  NOT NULL PRIMARY KEY,
    product_id   BINARY(16)  NOT NULL,
    content_type VARCHAR(20) NOT NULL,
    bytes        MEDIUMBLOB  NOT NULL,
    created_at   DATETIME(6) NOT NULL
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
