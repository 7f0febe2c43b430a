-- The oldest of those whose usernames differ by case only.
UPDATE accounts SET username_key = CAST(lower(CAST(username AS TEXT)) AS BLOB)
WHERE id IN (SELECT MIN(id) FROM accounts GROUP BY lower(CAST(username AS TEXT)));
