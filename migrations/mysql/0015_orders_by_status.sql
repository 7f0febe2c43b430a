-- What the sweep ends at accept_by, and what stands still.
CREATE INDEX orders_by_status ON orders (status, accept_by);
