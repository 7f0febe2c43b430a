-- position counts the handoffs of one order to one integrator, which are strictly serial.
-- due_at: not before this, in the states due and waiting. fence: raised by every claim; an outcome of an older one is void.
CREATE TABLE handoffs (
    id BLOB NOT NULL PRIMARY KEY,
    store_id BLOB NOT NULL,
    order_id BLOB,
    integrator_id BLOB NOT NULL,
    position INTEGER NOT NULL,
    event TEXT NOT NULL,
    state TEXT NOT NULL,
    required INTEGER NOT NULL,
    confirmed_at TEXT,
    round INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    max_attempts INTEGER NOT NULL,
    due_at TEXT NOT NULL,
    leased_until TEXT,
    fence INTEGER NOT NULL,
    body BLOB,
    deadline TEXT NOT NULL,
    reference BLOB,
    reason TEXT,
    claim_failures INTEGER NOT NULL,
    error TEXT,
    created_at TEXT NOT NULL,
    closed_at TEXT,
    UNIQUE (order_id, integrator_id, position)
) STRICT;
