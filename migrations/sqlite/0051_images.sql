-- Uploaded images of products. A row never changes: another image gets another id.
CREATE TABLE images (
    id           BLOB NOT NULL PRIMARY KEY,
    product_id   BLOB NOT NULL,
    content_type TEXT NOT NULL,
    bytes        BLOB NOT NULL,
    created_at   TEXT NOT NULL
) STRICT;
