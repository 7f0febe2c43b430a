-- Requests to erase what is known of a person. They stay on record without the person.
CREATE TABLE erasures (
    id           BLOB    NOT NULL PRIMARY KEY,
    kind         TEXT    NOT NULL, -- account, phone or email
    person_hash  BLOB    NOT NULL, -- keyed hash
    sealed       BLOB,             -- the person, encrypted; null once everything is erased
    account_id   BLOB,             -- the person's account, if there is one
    requested_at TEXT    NOT NULL,
    requested_by TEXT    NOT NULL,
    last_order   BLOB,             -- the walk over the orders goes on after this one
    walked_at    TEXT,             -- all orders have been looked at
    examined     INTEGER NOT NULL,
    erased       INTEGER NOT NULL,
    waiting      TEXT    NOT NULL, -- orders that are not erased yet, and why, as JSON
    recipients   TEXT    NOT NULL, -- integrators that may have received one of the orders, as JSON
    next_at      TEXT    NOT NULL,
    done_at      TEXT,
    UNIQUE (done_at, next_at, id)
) STRICT;
