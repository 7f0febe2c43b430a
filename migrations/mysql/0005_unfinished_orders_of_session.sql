CREATE INDEX orders_of_session_by_status ON orders (session_id, status, id); -- intake counts a session's unfinished orders
