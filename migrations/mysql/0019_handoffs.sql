-- position counts the handoffs of one order to one integrator, which are strictly serial.
-- due_at: not before this, in the states due and waiting. fence: raised by every claim; an outcome of an older one is void.
CREATE TABLE handoffs (
    id             BINARY(16)     NOT NULL PRIMARY KEY,
    store_id       BINARY(16)     NOT NULL,
    order_id       BINARY(16),
    integrator_id  BINARY(16)     NOT NULL,
    position       INT            NOT NULL,
    event          VARCHAR(30)    NOT NULL,
    state          VARCHAR(20)    NOT NULL,
    required       BOOLEAN        NOT NULL,
    confirmed_at   DATETIME(6),
    round          INT            NOT NULL,
    attempts       INT            NOT NULL,
    max_attempts   INT            NOT NULL,
    due_at         DATETIME(6)    NOT NULL,
    leased_until   DATETIME(6),
    fence          BIGINT         NOT NULL,
    body           MEDIUMBLOB,
    deadline       DATETIME(6)    NOT NULL,
    reference      VARBINARY(200),
    reason         VARCHAR(200),
    claim_failures INT            NOT NULL,
    error          VARCHAR(500),
    created_at     DATETIME(6)    NOT NULL,
    closed_at      DATETIME(6),
    UNIQUE (order_id, integrator_id, position)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
