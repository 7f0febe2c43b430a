-- Requests to erase what is known of a person. They stay on record without the person.
CREATE TABLE erasures (
    id           BINARY(16)  NOT NULL PRIMARY KEY,
    kind         VARCHAR(10) NOT NULL, -- account, phone or email
    person_hash  BINARY(32)  NOT NULL, -- keyed hash
    sealed       VARBINARY(1000),      -- the person, encrypted; null once everything is erased
    account_id   BINARY(16),           -- the person's account, if there is one
    requested_at DATETIME(6) NOT NULL,
    requested_by JSON        NOT NULL,
    last_order   BINARY(16),           -- the walk over the orders goes on after this one
    walked_at    DATETIME(6),          -- all orders have been looked at
    examined     BIGINT      NOT NULL,
    erased       BIGINT      NOT NULL,
    waiting      MEDIUMTEXT  NOT NULL, -- orders that are not erased yet, and why, as JSON
    recipients   MEDIUMTEXT  NOT NULL, -- integrators that may have received one of the orders, as JSON
    next_at      DATETIME(6) NOT NULL,
    done_at      DATETIME(6),
    UNIQUE (done_at, next_at, id)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
