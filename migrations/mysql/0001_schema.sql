-- The schema of MySQL. Read it with docs/glossary.md; migrations/README.md says how it changes.
-- Ids are UUIDv7, times are UTC with microseconds, amounts of money are in minor units. There are no foreign keys: one is a
-- hidden lock of its parent row.

-- Stores and what they sell -------------------------------------------------------------------------------------

-- A place that sells.
CREATE TABLE stores (
    id                   BINARY(16)     NOT NULL PRIMARY KEY,
    name                 VARCHAR(200)   NOT NULL,
    timezone             VARCHAR(64)    NOT NULL,
    currency             CHAR(3)        NOT NULL,
    phone                VARCHAR(50),
    email                VARCHAR(254),
    address              VARCHAR(500),
    lat                  DOUBLE,
    lng                  DOUBLE,
    auto_accept          BOOLEAN        NOT NULL,
    accept_within_s      INT            NOT NULL,
    paused               BOOLEAN        NOT NULL,
    archived_at          DATETIME(6),
    version              BIGINT         NOT NULL,
    created_at           DATETIME(6)    NOT NULL,
    external_location_id VARBINARY(100) DEFAULT NULL -- id in the external locations and products services
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- A store's last order number and the last event number of its own stream. Apart from the settings, so that intake
-- never waits for an edit of them.
CREATE TABLE store_counters (
    store_id    BINARY(16) NOT NULL PRIMARY KEY,
    last_number BIGINT     NOT NULL,
    last_seq    BIGINT     NOT NULL
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- A store's products; an archived one stays readable.
CREATE TABLE products (
    id           BINARY(16)     NOT NULL PRIMARY KEY,
    store_id     BINARY(16)     NOT NULL,
    sku          VARBINARY(100), -- unique in the store; compared as bytes
    name         VARCHAR(200)   NOT NULL,
    description  VARCHAR(2000),
    price_amount BIGINT         NOT NULL, -- minor units
    currency     CHAR(3)        NOT NULL,
    available    BOOLEAN        NOT NULL,
    archived_at  DATETIME(6),
    version      BIGINT         NOT NULL,
    created_at   DATETIME(6)    NOT NULL,
    UNIQUE (store_id, sku),
    KEY products_of_store (store_id, id)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Quantity left of a counted product. A product without a row is not counted and never runs out.
CREATE TABLE stock (
    product_id BINARY(16) NOT NULL PRIMARY KEY,
    quantity   BIGINT     NOT NULL,
    CHECK (quantity >= 0)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Changes made by people. Orders hold their stock in order_items; `expediter audit` compares both with stock.
CREATE TABLE stock_movements (
    id         BINARY(16)   NOT NULL PRIMARY KEY,
    product_id BINARY(16)   NOT NULL,
    delta      BIGINT       NOT NULL,
    reason     VARCHAR(200) NOT NULL,
    account_id BINARY(16),
    created_at DATETIME(6)  NOT NULL,
    KEY movements_of_product (product_id, id)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Products of an external products service, by the service's own id.
CREATE TABLE outside_products (
    store_id    BINARY(16)     NOT NULL,
    external_id VARBINARY(100) NOT NULL,
    product_id  BINARY(16)     NOT NULL,
    listed      BOOLEAN        NOT NULL, -- in the latest answer of the service
    PRIMARY KEY (store_id, external_id),
    UNIQUE (product_id)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Accounts and how they sign in ---------------------------------------------------------------------------------

-- People and programs that sign in.
CREATE TABLE accounts (
    id            BINARY(16)     NOT NULL PRIMARY KEY,
    username      VARBINARY(100) NOT NULL,
    password_hash VARCHAR(200)   NOT NULL, -- PHC string
    role          VARCHAR(20)    NOT NULL,
    disabled      BOOLEAN        NOT NULL,
    created_at    DATETIME(6)    NOT NULL,
    UNIQUE (username)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- The stores that an account serves.
CREATE TABLE account_stores (
    account_id BINARY(16) NOT NULL,
    store_id   BINARY(16) NOT NULL,
    PRIMARY KEY (account_id, store_id)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- The integrators that an account of the role integrator represents.
CREATE TABLE account_integrators (
    account_id    BINARY(16) NOT NULL,
    integrator_id BINARY(16) NOT NULL,
    PRIMARY KEY (account_id, integrator_id),
    UNIQUE (integrator_id, account_id)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Accounts as the verification service knows them.
CREATE TABLE external_identities (
    account_id       BINARY(16)     NOT NULL PRIMARY KEY,
    user_id          VARBINARY(100) NOT NULL,
    session_key_hash BINARY(32)     NOT NULL, -- exchanged for tokens without the service
    created_at       DATETIME(6)    NOT NULL,
    UNIQUE (user_id)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Hashes only. A family is one sign-in; reuse of a rotated token revokes the whole family.
CREATE TABLE refresh_tokens (
    token_hash BINARY(32)  NOT NULL PRIMARY KEY,
    family_id  BINARY(16)  NOT NULL,
    account_id BINARY(16)  NOT NULL,
    issued_at  DATETIME(6) NOT NULL,
    expires_at DATETIME(6) NOT NULL,
    used_at    DATETIME(6),
    revoked_at DATETIME(6),
    KEY refresh_tokens_of_family (family_id),
    KEY refresh_tokens_by_expiry (expires_at),
    KEY refresh_tokens_of_account (account_id)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Single-use tickets for live channels; hashes only.
CREATE TABLE live_tickets (
    ticket_hash BINARY(32)  NOT NULL PRIMARY KEY,
    account_id  BINARY(16)  NOT NULL,
    subject     VARCHAR(10) NOT NULL,
    subject_id  BINARY(16)  NOT NULL,
    expires_at  DATETIME(6) NOT NULL,
    KEY live_tickets_by_expiry (expires_at)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- One row per wrong password and mark. A mark is a hash of the username or of the client address.
CREATE TABLE sign_in_failures (
    mark       BINARY(32)  NOT NULL,
    expires_at DATETIME(6) NOT NULL,
    id         BINARY(16)  NOT NULL,
    PRIMARY KEY (mark, expires_at, id),
    KEY sign_in_failures_by_expiry (expires_at)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Addresses from which an account signed in lately. A mark is a hash of username and client address.
CREATE TABLE known_addresses (
    mark       BINARY(32)  NOT NULL,
    expires_at DATETIME(6) NOT NULL,
    PRIMARY KEY (mark),
    KEY known_addresses_by_expiry (expires_at)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Sessions and orders -------------------------------------------------------------------------------------------

-- A table's open tab.
CREATE TABLE sessions (
    id        BINARY(16)     NOT NULL PRIMARY KEY,
    store_id  BINARY(16)     NOT NULL,
    code      VARBINARY(40)  NOT NULL, -- 40 hex digits, the guests' key
    name      VARCHAR(100)   NOT NULL,
    open_key  VARBINARY(800), -- normalised name while open: unique among open sessions only
    state     VARCHAR(10)    NOT NULL,
    opened_at DATETIME(6)    NOT NULL,
    closed_at DATETIME(6),
    last_seq  BIGINT         NOT NULL, -- number of the last event of its stream
    UNIQUE (code),
    UNIQUE (store_id, open_key),
    KEY sessions_of_store (store_id, state, id)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- One row per order, drafts too.
CREATE TABLE orders (
    id             BINARY(16)     NOT NULL PRIMARY KEY,
    store_id       BINARY(16)     NOT NULL,
    number         BIGINT, -- counts up per store; null for a draft
    session_id     BINARY(16),
    account_id     BINARY(16),
    placed_by      BINARY(16)     NOT NULL, -- account id, or session id of a guest's order: references are unique per placer
    guest_key_hash BINARY(32),
    reference      VARBINARY(200),
    fulfilment     VARCHAR(20)    NOT NULL,
    status         VARCHAR(20)    NOT NULL,
    reason         VARCHAR(500),
    version        BIGINT         NOT NULL, -- counts edits by people
    stock_held     BOOLEAN        NOT NULL, -- true from placement until the order is called off
    customer       JSON           NOT NULL,
    total_amount   BIGINT         NOT NULL, -- minor units
    currency       CHAR(3)        NOT NULL,
    user_note      VARCHAR(1000),
    accept_by      DATETIME(6),
    delivery       JSON,
    replaces       BINARY(16), -- an order is replaced once
    last_seq       BIGINT         NOT NULL, -- number of the last event of its own stream, if it has no session
    created_at     DATETIME(6)    NOT NULL,
    placed_at      DATETIME(6),
    accepted_at    DATETIME(6),
    ended_at       DATETIME(6),
    tallied        BOOLEAN        NOT NULL DEFAULT 0, -- counted in order_tallies
    UNIQUE (placed_by, reference),
    UNIQUE (store_id, number),
    KEY orders_of_store (store_id, id),
    KEY orders_of_store_by_status (store_id, status, id),
    KEY orders_of_account (account_id, id),
    KEY orders_of_session (session_id, id),
    KEY orders_by_status (status, accept_by), -- the sweep: orders past accept_by, and orders that stand still
    KEY orders_by_reference (store_id, reference), -- callbacks may name an order by the reference that we sent
    UNIQUE KEY orders_by_replaced (replaces),
    KEY orders_of_status (status, id), -- lists over all stores, newest first
    KEY orders_of_store_by_placing (store_id, placed_at, id), -- a store's orders of a range of days
    KEY orders_by_placing (placed_at, id)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Items keep name, sku and unit price as sold.
CREATE TABLE order_items (
    id          BINARY(16)     NOT NULL PRIMARY KEY,
    order_id    BINARY(16)     NOT NULL,
    position    INT            NOT NULL,
    product_id  BINARY(16)     NOT NULL,
    sku         VARBINARY(100),
    name        VARCHAR(200)   NOT NULL,
    quantity    INT            NOT NULL,
    unit_amount BIGINT         NOT NULL, -- minor units
    note        VARCHAR(500),
    counted     BOOLEAN        NOT NULL, -- took stock when it was placed
    UNIQUE (order_id, position)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Per store: counts over the placed orders numbered up to up_to, which are marked orders.tallied. A later change of such
-- an order corrects the counts in the same transaction.
CREATE TABLE order_tallies (
    store_id      BINARY(16) NOT NULL PRIMARY KEY,
    up_to         BIGINT     NOT NULL,
    pending       BIGINT     NOT NULL,
    processing    BIGINT     NOT NULL,
    accepted      BIGINT     NOT NULL,
    preparing     BIGINT     NOT NULL,
    ready         BIGINT     NOT NULL,
    dispatched    BIGINT     NOT NULL,
    delivered     BIGINT     NOT NULL,
    rejected      BIGINT     NOT NULL,
    failed        BIGINT     NOT NULL,
    cancelled     BIGINT     NOT NULL,
    ever_accepted BIGINT     NOT NULL,
    acceptance_us BIGINT     NOT NULL -- sum of placed-to-accepted times in microseconds
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Keys of requests that were done. owner is the account's id or, for a guest, the session's.
CREATE TABLE idempotency_keys (
    owner           BINARY(16)     NOT NULL,
    idempotency_key VARBINARY(200) NOT NULL,
    fingerprint     BINARY(32)     NOT NULL,
    resource_id     BINARY(16)     NOT NULL,
    created_at      DATETIME(6)    NOT NULL,
    PRIMARY KEY (owner, idempotency_key),
    KEY idempotency_keys_by_age (created_at)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Integrators and what passes between us ------------------------------------------------------------------------

-- Outside systems that are handed orders. The *_sealed columns are encrypted (common/platform/src/secrets.rs).
CREATE TABLE integrators (
    id                  BINARY(16)    NOT NULL PRIMARY KEY,
    store_id            BINARY(16)    NOT NULL,
    name                VARCHAR(200)  NOT NULL,
    kind                VARCHAR(20)   NOT NULL,
    format              VARCHAR(20)   NOT NULL,
    events              JSON          NOT NULL,
    url                 VARCHAR(2000) NOT NULL,
    required            BOOLEAN       NOT NULL,
    confirms            VARCHAR(20)   NOT NULL,
    unknown_policy      VARCHAR(10)   NOT NULL,
    callback_auth       VARCHAR(20)   NOT NULL,
    auth_kind           VARCHAR(20)   NOT NULL,
    auth_sealed         BLOB          NOT NULL,
    signing_sealed      BLOB          NOT NULL,
    old_signing_sealed  BLOB, -- still signs until old_signing_until, during a rotation
    old_signing_until   DATETIME(6),
    callback_sealed     BLOB          NOT NULL,
    old_callback_sealed BLOB, -- still accepted until old_callback_until
    old_callback_until  DATETIME(6),
    status_map          JSON          NOT NULL,
    max_attempts        INT           NOT NULL,
    concurrency         INT           NOT NULL,
    rate_per_s          INT,
    enabled             BOOLEAN       NOT NULL,
    disabled_reason     VARCHAR(200),
    failing_since       DATETIME(6),
    failures_in_a_row   INT           NOT NULL,
    breaker_state       VARCHAR(10)   NOT NULL,
    breaker_until       DATETIME(6),
    archived_at         DATETIME(6),
    version             BIGINT        NOT NULL,
    created_at          DATETIME(6)   NOT NULL,
    breaker_openings    INT           NOT NULL DEFAULT 0, -- since the breaker was last closed; each opening lasts longer
    breaker_probe       BINARY(16)    DEFAULT NULL, -- the handoff whose attempt is the probe
    failing_handoffs    VARBINARY(48) DEFAULT NULL, -- concatenated ids of the first three different handoffs of a failure streak
    given_up_because    VARCHAR(20)   DEFAULT NULL, -- will be disabled for this; noted with the outcome, until its event is written
    KEY integrators_of_store (store_id, id),
    KEY integrators_given_up (given_up_because), -- the sweep: integrators to be disabled
    KEY integrators_archived (archived_at) -- the sweep: archived ones whose handoffs are withdrawn
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- The duty to bring one message about one order to one integrator.
CREATE TABLE handoffs (
    id             BINARY(16)     NOT NULL PRIMARY KEY,
    store_id       BINARY(16)     NOT NULL,
    order_id       BINARY(16), -- null for a test message
    integrator_id  BINARY(16)     NOT NULL,
    position       INT            NOT NULL, -- counts the handoffs of one order to one integrator, which are strictly serial
    event          VARCHAR(30)    NOT NULL,
    state          VARCHAR(20)    NOT NULL,
    required       BOOLEAN        NOT NULL,
    confirmed_at   DATETIME(6),
    round          INT            NOT NULL,
    attempts       INT            NOT NULL,
    max_attempts   INT            NOT NULL,
    due_at         DATETIME(6)    NOT NULL, -- not before this, in the states due and waiting
    leased_until   DATETIME(6),
    fence          BIGINT         NOT NULL, -- raised by every claim: an outcome with an older fence is void
    body           MEDIUMBLOB, -- frozen at the first attempt
    deadline       DATETIME(6)    NOT NULL,
    reference      VARBINARY(200),
    reason         VARCHAR(200),
    claim_failures INT            NOT NULL,
    error          VARCHAR(500),
    created_at     DATETIME(6)    NOT NULL,
    closed_at      DATETIME(6),
    UNIQUE (order_id, integrator_id, position),
    KEY handoffs_of_integrator (integrator_id, state, due_at), -- a lane's claim: due handoffs of one integrator
    KEY handoffs_by_state (state, due_at), -- the sweep: due handoffs of anyone
    KEY handoffs_by_lease (state, leased_until), -- the sweep: expired leases
    KEY handoffs_by_reference (integrator_id, reference),
    KEY handoffs_of_store (store_id, id),
    KEY handoffs_of_state (state, id), -- lists of failed, held or parked ones, newest first
    KEY handoffs_of_integrator_by_age (integrator_id, id)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Rounds of attempts opened by hand. The first round opens by itself and has no row.
CREATE TABLE handoff_rounds (
    handoff_id BINARY(16)  NOT NULL,
    round      INT         NOT NULL,
    retry_id   BINARY(16)  NOT NULL, -- in retries
    account_id BINARY(16)  NOT NULL,
    opened_at  DATETIME(6) NOT NULL,
    due_at     DATETIME(6) NOT NULL,
    PRIMARY KEY (handoff_id, round)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- One row per HTTP request, written before the request leaves: a crash leaves a row without an outcome, which the sweep
-- closes as unknown.
CREATE TABLE attempts (
    id          BINARY(16)   NOT NULL PRIMARY KEY,
    handoff_id  BINARY(16)   NOT NULL,
    round       INT          NOT NULL,
    n           INT          NOT NULL, -- 1 to max_attempts within its round
    fence       BIGINT       NOT NULL,
    started_at  DATETIME(6)  NOT NULL,
    ended_at    DATETIME(6),
    outcome     VARCHAR(20), -- null while the request is under way
    http_status INT,
    error       VARCHAR(500),
    response    BLOB,
    UNIQUE (handoff_id, round, n)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Retries by hand: of one handoff, or of all that match a filter.
CREATE TABLE retries (
    id          BINARY(16)  NOT NULL PRIMARY KEY,
    account_id  BINARY(16)  NOT NULL,
    store_id    BINARY(16),
    filter      JSON        NOT NULL,
    matched     INT         NOT NULL,
    retried     INT         NOT NULL,
    refused     JSON        NOT NULL,
    started_at  DATETIME(6) NOT NULL,
    finished_at DATETIME(6), -- null while it runs or if it broke off; the counts are then those of its last page
    UNIQUE (store_id, id),
    UNIQUE (account_id, id)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- An integrator's update, stored as soon as its signature is verified.
CREATE TABLE callbacks (
    id            BINARY(16)     NOT NULL PRIMARY KEY,
    integrator_id BINARY(16)     NOT NULL,
    webhook_id    VARBINARY(200) NOT NULL, -- replayed callbacks have the same
    order_id      BINARY(16),
    reference     VARBINARY(200),
    payload       JSON           NOT NULL,
    received_at   DATETIME(6)    NOT NULL,
    applied_at    DATETIME(6), -- null until a worker has applied it, whatever the result
    result        VARCHAR(20),
    detail        VARCHAR(500),
    sequence      BIGINT,
    occurred_at   DATETIME(6),
    failures      INT            NOT NULL,
    UNIQUE (integrator_id, webhook_id),
    KEY callbacks_of_order (order_id, applied_at),
    KEY callbacks_left_over (applied_at, received_at),
    KEY callbacks_by_reference (integrator_id, reference, applied_at),
    KEY callbacks_of_integrator (integrator_id, id),
    KEY callbacks_of_result (result, id), -- lists of parked or unmatched ones, newest first
    KEY callbacks_of_integrator_by_result (integrator_id, result, id), -- the same for some stores' integrators
    KEY callbacks_by_result (result, applied_at) -- the stuck list
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Workers seen lately share each integrator's concurrency cap and rate.
CREATE TABLE workers (
    id         BINARY(16)   NOT NULL PRIMARY KEY,
    label      VARCHAR(255) NOT NULL,
    started_at DATETIME(6)  NOT NULL,
    seen_at    DATETIME(6)  NOT NULL
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Events and their publication ----------------------------------------------------------------------------------

-- One numbered line per change, per stream. A stream is a session, an order without a session, or a store.
CREATE TABLE events (
    stream_id BINARY(16)  NOT NULL, -- id of the session, order or store
    seq       BIGINT      NOT NULL,
    store_id  BINARY(16)  NOT NULL,
    order_id  BINARY(16),
    kind      VARCHAR(40) NOT NULL,
    at        DATETIME(6) NOT NULL,
    data      JSON        NOT NULL,
    PRIMARY KEY (stream_id, seq),
    KEY events_of_order (order_id, seq)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Announcements that are committed and not yet confirmed by the broker.
CREATE TABLE outbox (
    id           BINARY(16)   NOT NULL PRIMARY KEY,
    announcement JSON         NOT NULL,
    not_before   DATETIME(6)  NOT NULL, -- a claim moves it, so that nobody else publishes the row too
    failures     INT          NOT NULL,
    parked       BOOLEAN      NOT NULL,
    error        VARCHAR(500),
    created_at   DATETIME(6)  NOT NULL,
    KEY outbox_due (parked, not_before)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
