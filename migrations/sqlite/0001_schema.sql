-- The schema of SQLite. Read it with docs/glossary.md; migrations/README.md says how it changes.
-- Ids are UUIDv7, times are UTC with microseconds, amounts of money are in minor units. There are no foreign keys: one is a
-- hidden lock of its parent row.

-- Stores and what they sell -------------------------------------------------------------------------------------

-- A place that sells.
CREATE TABLE stores (
    id                   BLOB    NOT NULL PRIMARY KEY,
    name                 TEXT    NOT NULL,
    timezone             TEXT    NOT NULL,
    currency             TEXT    NOT NULL,
    phone                TEXT,
    email                TEXT,
    address              TEXT,
    lat                  REAL,
    lng                  REAL,
    auto_accept          INTEGER NOT NULL,
    accept_within_s      INTEGER NOT NULL,
    paused               INTEGER NOT NULL,
    archived_at          TEXT,
    version              INTEGER NOT NULL,
    created_at           TEXT    NOT NULL,
    external_location_id BLOB    DEFAULT NULL -- id in the external locations and products services
) STRICT;

-- A store's last order number and the last event number of its own stream. Apart from the settings, so that intake
-- never waits for an edit of them.
CREATE TABLE store_counters (
    store_id    BLOB    NOT NULL PRIMARY KEY,
    last_number INTEGER NOT NULL,
    last_seq    INTEGER NOT NULL
) STRICT;

-- A store's products; an archived one stays readable.
CREATE TABLE products (
    id           BLOB    NOT NULL PRIMARY KEY,
    store_id     BLOB    NOT NULL,
    sku          BLOB, -- unique in the store; compared as bytes
    name         TEXT    NOT NULL,
    description  TEXT,
    price_amount INTEGER NOT NULL, -- minor units
    currency     TEXT    NOT NULL,
    available    INTEGER NOT NULL,
    archived_at  TEXT,
    version      INTEGER NOT NULL,
    created_at   TEXT    NOT NULL,
    UNIQUE (store_id, sku)
) STRICT;
CREATE INDEX products_of_store ON products (store_id, id);

-- Quantity left of a counted product. A product without a row is not counted and never runs out.
CREATE TABLE stock (
    product_id BLOB    NOT NULL PRIMARY KEY,
    quantity   INTEGER NOT NULL,
    CHECK (quantity >= 0)
) STRICT;

-- Changes made by people. Orders hold their stock in order_items; `expediter audit` compares both with stock.
CREATE TABLE stock_movements (
    id         BLOB    NOT NULL PRIMARY KEY,
    product_id BLOB    NOT NULL,
    delta      INTEGER NOT NULL,
    reason     TEXT    NOT NULL,
    account_id BLOB,
    created_at TEXT    NOT NULL
) STRICT;
CREATE INDEX movements_of_product ON stock_movements (product_id, id);

-- Products of an external products service, by the service's own id.
CREATE TABLE outside_products (
    store_id    BLOB    NOT NULL,
    external_id BLOB    NOT NULL,
    product_id  BLOB    NOT NULL,
    listed      INTEGER NOT NULL, -- in the latest answer of the service
    PRIMARY KEY (store_id, external_id),
    UNIQUE (product_id)
) STRICT;

-- Accounts and how they sign in ---------------------------------------------------------------------------------

-- People and programs that sign in.
CREATE TABLE accounts (
    id            BLOB    NOT NULL PRIMARY KEY,
    username      BLOB    NOT NULL,
    password_hash TEXT    NOT NULL, -- PHC string
    role          TEXT    NOT NULL,
    disabled      INTEGER NOT NULL,
    created_at    TEXT    NOT NULL,
    UNIQUE (username)
) STRICT;

-- The stores that an account serves.
CREATE TABLE account_stores (
    account_id BLOB NOT NULL,
    store_id   BLOB NOT NULL,
    PRIMARY KEY (account_id, store_id)
) STRICT;

-- The integrators that an account of the role integrator represents.
CREATE TABLE account_integrators (
    account_id    BLOB NOT NULL,
    integrator_id BLOB NOT NULL,
    PRIMARY KEY (account_id, integrator_id),
    UNIQUE (integrator_id, account_id)
) STRICT;

-- Accounts as the verification service knows them.
CREATE TABLE external_identities (
    account_id       BLOB NOT NULL PRIMARY KEY,
    user_id          BLOB NOT NULL,
    session_key_hash BLOB NOT NULL, -- exchanged for tokens without the service
    created_at       TEXT NOT NULL,
    UNIQUE (user_id)
) STRICT;

-- Hashes only. A family is one sign-in; reuse of a rotated token revokes the whole family.
CREATE TABLE refresh_tokens (
    token_hash BLOB NOT NULL PRIMARY KEY,
    family_id  BLOB NOT NULL,
    account_id BLOB NOT NULL,
    issued_at  TEXT NOT NULL,
    expires_at TEXT NOT NULL,
    used_at    TEXT,
    revoked_at TEXT
) STRICT;
CREATE INDEX refresh_tokens_of_family ON refresh_tokens (family_id);
CREATE INDEX refresh_tokens_by_expiry ON refresh_tokens (expires_at);
CREATE INDEX refresh_tokens_of_account ON refresh_tokens (account_id);

-- Single-use tickets for live channels; hashes only.
CREATE TABLE live_tickets (
    ticket_hash BLOB NOT NULL PRIMARY KEY,
    account_id  BLOB NOT NULL,
    subject     TEXT NOT NULL,
    subject_id  BLOB NOT NULL,
    expires_at  TEXT NOT NULL
) STRICT;
CREATE INDEX live_tickets_by_expiry ON live_tickets (expires_at);

-- One row per wrong password and mark. A mark is a hash of the username or of the client address.
CREATE TABLE sign_in_failures (
    mark       BLOB NOT NULL,
    expires_at TEXT NOT NULL,
    id         BLOB NOT NULL,
    PRIMARY KEY (mark, expires_at, id)
) STRICT;
CREATE INDEX sign_in_failures_by_expiry ON sign_in_failures (expires_at);

-- Addresses from which an account signed in lately. A mark is a hash of username and client address.
CREATE TABLE known_addresses (
    mark       BLOB NOT NULL,
    expires_at TEXT NOT NULL,
    PRIMARY KEY (mark)
) STRICT;
CREATE INDEX known_addresses_by_expiry ON known_addresses (expires_at);

-- Sessions and orders -------------------------------------------------------------------------------------------

-- A table's open tab.
CREATE TABLE sessions (
    id        BLOB    NOT NULL PRIMARY KEY,
    store_id  BLOB    NOT NULL,
    code      BLOB    NOT NULL, -- 40 hex digits, the guests' key
    name      TEXT    NOT NULL,
    open_key  BLOB, -- normalised name while open: unique among open sessions only
    state     TEXT    NOT NULL,
    opened_at TEXT    NOT NULL,
    closed_at TEXT,
    last_seq  INTEGER NOT NULL, -- number of the last event of its stream
    UNIQUE (code),
    UNIQUE (store_id, open_key)
) STRICT;
CREATE INDEX sessions_of_store ON sessions (store_id, state, id);

-- One row per order, drafts too.
CREATE TABLE orders (
    id             BLOB    NOT NULL PRIMARY KEY,
    store_id       BLOB    NOT NULL,
    number         INTEGER, -- counts up per store; null for a draft
    session_id     BLOB,
    account_id     BLOB,
    placed_by      BLOB    NOT NULL, -- account id, or session id of a guest's order: references are unique per placer
    guest_key_hash BLOB,
    reference      BLOB,
    fulfilment     TEXT    NOT NULL,
    status         TEXT    NOT NULL,
    reason         TEXT,
    version        INTEGER NOT NULL, -- counts edits by people
    stock_held     INTEGER NOT NULL, -- true from placement until the order is called off
    customer       TEXT    NOT NULL,
    total_amount   INTEGER NOT NULL, -- minor units
    currency       TEXT    NOT NULL,
    user_note      TEXT,
    accept_by      TEXT,
    delivery       TEXT,
    replaces       BLOB, -- an order is replaced once
    last_seq       INTEGER NOT NULL, -- number of the last event of its own stream, if it has no session
    created_at     TEXT    NOT NULL,
    placed_at      TEXT,
    accepted_at    TEXT,
    ended_at       TEXT,
    tallied        INTEGER NOT NULL DEFAULT 0, -- counted in order_tallies
    UNIQUE (placed_by, reference),
    UNIQUE (store_id, number)
) STRICT;
CREATE INDEX orders_of_store ON orders (store_id, id);
CREATE INDEX orders_of_store_by_status ON orders (store_id, status, id);
CREATE INDEX orders_of_account ON orders (account_id, id);
CREATE INDEX orders_of_session ON orders (session_id, id);
CREATE INDEX orders_by_status ON orders (status, accept_by); -- the sweep: orders past accept_by, and orders that stand still
CREATE INDEX orders_by_reference ON orders (store_id, reference); -- callbacks may name an order by the reference that we sent
CREATE UNIQUE INDEX orders_by_replaced ON orders (replaces);
CREATE INDEX orders_of_status ON orders (status, id); -- lists over all stores, newest first
CREATE INDEX orders_of_store_by_placing ON orders (store_id, placed_at, id); -- a store's orders of a range of days
CREATE INDEX orders_by_placing ON orders (placed_at, id);

-- Items keep name, sku and unit price as sold.
CREATE TABLE order_items (
    id          BLOB    NOT NULL PRIMARY KEY,
    order_id    BLOB    NOT NULL,
    position    INTEGER NOT NULL,
    product_id  BLOB    NOT NULL,
    sku         BLOB,
    name        TEXT    NOT NULL,
    quantity    INTEGER NOT NULL,
    unit_amount INTEGER NOT NULL, -- minor units
    note        TEXT,
    counted     INTEGER NOT NULL, -- took stock when it was placed
    UNIQUE (order_id, position)
) STRICT;

-- Per store: counts over the placed orders numbered up to up_to, which are marked orders.tallied. A later change of such
-- an order corrects the counts in the same transaction.
CREATE TABLE order_tallies (
    store_id      BLOB    NOT NULL PRIMARY KEY,
    up_to         INTEGER NOT NULL,
    pending       INTEGER NOT NULL,
    processing    INTEGER NOT NULL,
    accepted      INTEGER NOT NULL,
    preparing     INTEGER NOT NULL,
    ready         INTEGER NOT NULL,
    dispatched    INTEGER NOT NULL,
    delivered     INTEGER NOT NULL,
    rejected      INTEGER NOT NULL,
    failed        INTEGER NOT NULL,
    cancelled     INTEGER NOT NULL,
    ever_accepted INTEGER NOT NULL,
    acceptance_us INTEGER NOT NULL -- sum of placed-to-accepted times in microseconds
) STRICT;

-- Keys of requests that were done. owner is the account's id or, for a guest, the session's.
CREATE TABLE idempotency_keys (
    owner           BLOB NOT NULL,
    idempotency_key BLOB NOT NULL,
    fingerprint     BLOB NOT NULL,
    resource_id     BLOB NOT NULL,
    created_at      TEXT NOT NULL,
    PRIMARY KEY (owner, idempotency_key)
) STRICT;
CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at);

-- Integrators and what passes between us ------------------------------------------------------------------------

-- Outside systems that are handed orders. The *_sealed columns are encrypted (common/platform/src/secrets.rs).
CREATE TABLE integrators (
    id                  BLOB    NOT NULL PRIMARY KEY,
    store_id            BLOB    NOT NULL,
    name                TEXT    NOT NULL,
    kind                TEXT    NOT NULL,
    format              TEXT    NOT NULL,
    events              TEXT    NOT NULL,
    url                 TEXT    NOT NULL,
    required            INTEGER NOT NULL,
    confirms            TEXT    NOT NULL,
    unknown_policy      TEXT    NOT NULL,
    callback_auth       TEXT    NOT NULL,
    auth_kind           TEXT    NOT NULL,
    auth_sealed         BLOB    NOT NULL,
    signing_sealed      BLOB    NOT NULL,
    old_signing_sealed  BLOB, -- still signs until old_signing_until, during a rotation
    old_signing_until   TEXT,
    callback_sealed     BLOB    NOT NULL,
    old_callback_sealed BLOB, -- still accepted until old_callback_until
    old_callback_until  TEXT,
    status_map          TEXT    NOT NULL,
    max_attempts        INTEGER NOT NULL,
    concurrency         INTEGER NOT NULL,
    rate_per_s          INTEGER,
    enabled             INTEGER NOT NULL,
    disabled_reason     TEXT,
    failing_since       TEXT,
    failures_in_a_row   INTEGER NOT NULL,
    breaker_state       TEXT    NOT NULL,
    breaker_until       TEXT,
    archived_at         TEXT,
    version             INTEGER NOT NULL,
    created_at          TEXT    NOT NULL,
    breaker_openings    INTEGER NOT NULL DEFAULT 0, -- since the breaker was last closed; each opening lasts longer
    breaker_probe       BLOB    DEFAULT NULL, -- the handoff whose attempt is the probe
    failing_handoffs    BLOB    DEFAULT NULL, -- concatenated ids of the first three different handoffs of a failure streak
    given_up_because    TEXT    DEFAULT NULL -- will be disabled for this; noted with the outcome, until its event is written
) STRICT;
CREATE INDEX integrators_of_store ON integrators (store_id, id);
CREATE INDEX integrators_given_up ON integrators (given_up_because); -- the sweep: integrators to be disabled
CREATE INDEX integrators_archived ON integrators (archived_at); -- the sweep: archived ones whose handoffs are withdrawn

-- The duty to bring one message about one order to one integrator.
CREATE TABLE handoffs (
    id             BLOB    NOT NULL PRIMARY KEY,
    store_id       BLOB    NOT NULL,
    order_id       BLOB, -- null for a test message
    integrator_id  BLOB    NOT NULL,
    position       INTEGER NOT NULL, -- counts the handoffs of one order to one integrator, which are strictly serial
    event          TEXT    NOT NULL,
    state          TEXT    NOT NULL,
    required       INTEGER NOT NULL,
    confirmed_at   TEXT,
    round          INTEGER NOT NULL,
    attempts       INTEGER NOT NULL,
    max_attempts   INTEGER NOT NULL,
    due_at         TEXT    NOT NULL, -- not before this, in the states due and waiting
    leased_until   TEXT,
    fence          INTEGER NOT NULL, -- raised by every claim: an outcome with an older fence is void
    body           BLOB, -- frozen at the first attempt
    deadline       TEXT    NOT NULL,
    reference      BLOB,
    reason         TEXT,
    claim_failures INTEGER NOT NULL,
    error          TEXT,
    created_at     TEXT    NOT NULL,
    closed_at      TEXT,
    UNIQUE (order_id, integrator_id, position)
) STRICT;
CREATE INDEX handoffs_of_integrator ON handoffs (integrator_id, state, due_at); -- a lane's claim: due handoffs of one integrator
CREATE INDEX handoffs_by_state ON handoffs (state, due_at); -- the sweep: due handoffs of anyone
CREATE INDEX handoffs_by_lease ON handoffs (state, leased_until); -- the sweep: expired leases
CREATE INDEX handoffs_by_reference ON handoffs (integrator_id, reference);
CREATE INDEX handoffs_of_store ON handoffs (store_id, id);
CREATE INDEX handoffs_of_state ON handoffs (state, id); -- lists of failed, held or parked ones, newest first
CREATE INDEX handoffs_of_integrator_by_age ON handoffs (integrator_id, id);

-- Rounds of attempts opened by hand. The first round opens by itself and has no row.
CREATE TABLE handoff_rounds (
    handoff_id BLOB    NOT NULL,
    round      INTEGER NOT NULL,
    retry_id   BLOB    NOT NULL, -- in retries
    account_id BLOB    NOT NULL,
    opened_at  TEXT    NOT NULL,
    due_at     TEXT    NOT NULL,
    PRIMARY KEY (handoff_id, round)
) STRICT;

-- One row per HTTP request, written before the request leaves: a crash leaves a row without an outcome, which the sweep
-- closes as unknown.
CREATE TABLE attempts (
    id          BLOB    NOT NULL PRIMARY KEY,
    handoff_id  BLOB    NOT NULL,
    round       INTEGER NOT NULL,
    n           INTEGER NOT NULL, -- 1 to max_attempts within its round
    fence       INTEGER NOT NULL,
    started_at  TEXT    NOT NULL,
    ended_at    TEXT,
    outcome     TEXT, -- null while the request is under way
    http_status INTEGER,
    error       TEXT,
    response    BLOB,
    UNIQUE (handoff_id, round, n)
) STRICT;

-- Retries by hand: of one handoff, or of all that match a filter.
CREATE TABLE retries (
    id          BLOB    NOT NULL PRIMARY KEY,
    account_id  BLOB    NOT NULL,
    store_id    BLOB,
    filter      TEXT    NOT NULL,
    matched     INTEGER NOT NULL,
    retried     INTEGER NOT NULL,
    refused     TEXT    NOT NULL,
    started_at  TEXT    NOT NULL,
    finished_at TEXT, -- null while it runs or if it broke off; the counts are then those of its last page
    UNIQUE (store_id, id),
    UNIQUE (account_id, id)
) STRICT;

-- An integrator's update, stored as soon as its signature is verified.
CREATE TABLE callbacks (
    id            BLOB    NOT NULL PRIMARY KEY,
    integrator_id BLOB    NOT NULL,
    webhook_id    BLOB    NOT NULL, -- replayed callbacks have the same
    order_id      BLOB,
    reference     BLOB,
    payload       TEXT    NOT NULL,
    received_at   TEXT    NOT NULL,
    applied_at    TEXT, -- null until a worker has applied it, whatever the result
    result        TEXT,
    detail        TEXT,
    sequence      INTEGER,
    occurred_at   TEXT,
    failures      INTEGER NOT NULL,
    UNIQUE (integrator_id, webhook_id)
) STRICT;
CREATE INDEX callbacks_of_order ON callbacks (order_id, applied_at);
CREATE INDEX callbacks_left_over ON callbacks (applied_at, received_at);
CREATE INDEX callbacks_by_reference ON callbacks (integrator_id, reference, applied_at);
CREATE INDEX callbacks_of_integrator ON callbacks (integrator_id, id);
CREATE INDEX callbacks_of_result ON callbacks (result, id); -- lists of parked or unmatched ones, newest first
CREATE INDEX callbacks_of_integrator_by_result ON callbacks (integrator_id, result, id); -- the same for some stores' integrators
CREATE INDEX callbacks_by_result ON callbacks (result, applied_at); -- the stuck list

-- Workers seen lately share each integrator's concurrency cap and rate.
CREATE TABLE workers (
    id         BLOB NOT NULL PRIMARY KEY,
    label      TEXT NOT NULL,
    started_at TEXT NOT NULL,
    seen_at    TEXT NOT NULL
) STRICT;

-- Events and their publication ----------------------------------------------------------------------------------

-- One numbered line per change, per stream. A stream is a session, an order without a session, or a store.
CREATE TABLE events (
    stream_id BLOB    NOT NULL, -- id of the session, order or store
    seq       INTEGER NOT NULL,
    store_id  BLOB    NOT NULL,
    order_id  BLOB,
    kind      TEXT    NOT NULL,
    at        TEXT    NOT NULL,
    data      TEXT    NOT NULL,
    PRIMARY KEY (stream_id, seq)
) STRICT;
CREATE INDEX events_of_order ON events (order_id, seq);

-- Announcements that are committed and not yet confirmed by the broker.
CREATE TABLE outbox (
    id           BLOB    NOT NULL PRIMARY KEY,
    announcement TEXT    NOT NULL,
    not_before   TEXT    NOT NULL, -- a claim moves it, so that nobody else publishes the row too
    failures     INTEGER NOT NULL,
    parked       INTEGER NOT NULL,
    error        TEXT,
    created_at   TEXT    NOT NULL
) STRICT;
CREATE INDEX outbox_due ON outbox (parked, not_before);
