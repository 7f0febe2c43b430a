-- The integrators that an account of the role integrator speaks for.
CREATE TABLE account_integrators (
    account_id    BINARY(16) NOT NULL,
    integrator_id BINARY(16) NOT NULL,
    PRIMARY KEY (account_id, integrator_id),
    UNIQUE (integrator_id, account_id)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
