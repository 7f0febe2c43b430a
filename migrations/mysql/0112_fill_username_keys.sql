-- The oldest of those whose usernames differ by case only.
UPDATE accounts SET username_key = LOWER(CONVERT(username USING ascii))
WHERE id IN (SELECT id FROM (SELECT MIN(id) AS id FROM accounts GROUP BY LOWER(CONVERT(username USING ascii))) AS oldest);
