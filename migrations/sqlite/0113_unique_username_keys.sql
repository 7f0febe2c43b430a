CREATE UNIQUE INDEX accounts_username_key ON accounts (username_key);
