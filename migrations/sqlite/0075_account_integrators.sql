-- The integrators that an account of the role integrator speaks for.
CREATE TABLE account_integrators (
    account_id BLOB NOT NULL,
    integrator_id BLOB NOT NULL,
    PRIMARY KEY (account_id, integrator_id),
    UNIQUE (integrator_id, account_id)
) STRICT;
