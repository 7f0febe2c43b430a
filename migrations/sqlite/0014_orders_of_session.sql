CREATE INDEX orders_of_session ON orders (session_id, id);
