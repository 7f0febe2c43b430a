CREATE INDEX refresh_tokens_of_account ON refresh_tokens (account_id);
