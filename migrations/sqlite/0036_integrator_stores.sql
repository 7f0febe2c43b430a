-- The further stores of an integrator, beside the first one in integrators.store_id. A store that it has left keeps its
-- row: what it was handed there goes on.
CREATE TABLE integrator_stores (
    store_id      BLOB NOT NULL,
    integrator_id BLOB NOT NULL,
    joined_at     TEXT NOT NULL,
    left_at       TEXT,
    told_at       TEXT, -- this store's staff know that it is about to be disabled
    PRIMARY KEY (store_id, integrator_id),
    UNIQUE (integrator_id, store_id)
) STRICT;
