-- A product without a row is not counted and never runs out.
CREATE TABLE stock (
    product_id BLOB NOT NULL PRIMARY KEY,
    quantity INTEGER NOT NULL,
    CHECK (quantity >= 0)
) STRICT;
