CREATE INDEX orders_of_account ON orders (account_id, id);
