-- An order is replaced once.
CREATE UNIQUE INDEX orders_by_replaced ON orders (replaces);
