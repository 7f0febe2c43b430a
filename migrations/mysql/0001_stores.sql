-- A place that sells. Its order numbers and the numbers of its own stream are counted in store_counters.
CREATE TABLE stores (
    id              BINARY(16)    NOT NULL PRIMARY KEY,
    name            VARCHAR(200)  NOT NULL,
    timezone        VARCHAR(64)   NOT NULL,
    currency        CHAR(3)       NOT NULL,
    phone           VARCHAR(50),
    email           VARCHAR(254),
    address         VARCHAR(500),
    lat             DOUBLE,
    lng             DOUBLE,
    auto_accept     BOOLEAN       NOT NULL,
    accept_within_s INT           NOT NULL,
    paused          BOOLEAN       NOT NULL,
    archived_at     DATETIME(6),
    version         BIGINT        NOT NULL,
    created_at      DATETIME(6)   NOT NULL
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
