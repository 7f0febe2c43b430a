-- The further stores of an integrator, beside the first one in integrators.store_id. A store that it has left keeps its
-- row: what it was handed there goes on.
CREATE TABLE integrator_stores (
    store_id      BINARY(16)  NOT NULL,
    integrator_id BINARY(16)  NOT NULL,
    joined_at     DATETIME(6) NOT NULL,
    left_at       DATETIME(6),
    told_at       DATETIME(6), -- this store's staff know that it is about to be disabled
    PRIMARY KEY (store_id, integrator_id),
    UNIQUE (integrator_id, store_id)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
