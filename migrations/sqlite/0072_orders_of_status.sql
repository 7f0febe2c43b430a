-- Operators look for orders that stand somewhere, in whichever store, newest first.
CREATE INDEX orders_of_status ON orders (status, id);
