-- Run again after it was cut short, it adds nothing twice.
INSERT INTO account_integrators (account_id, integrator_id)
SELECT id, integrator_id FROM accounts
WHERE integrator_id IS NOT NULL AND id NOT IN (SELECT account_id FROM account_integrators);
