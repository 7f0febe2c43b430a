-- Written before the request leaves: a crash leaves a row without outcome, which the sweep closes as unknown.
CREATE TABLE attempts (
    id          BINARY(16)   NOT NULL PRIMARY KEY,
    handoff_id  BINARY(16)   NOT NULL,
    round       INT          NOT NULL,
    n           INT          NOT NULL,
    fence       BIGINT       NOT NULL,
    started_at  DATETIME(6)  NOT NULL,
    ended_at    DATETIME(6),
    outcome     VARCHAR(20),
    http_status INT,
    error       VARCHAR(500),
    response    BLOB,
    UNIQUE (handoff_id, round, n)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
