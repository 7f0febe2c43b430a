-- What is committed and not yet confirmed by the broker. A claim moves not_before, so that nobody else sends it too.
CREATE TABLE outbox (
    id           BINARY(16)  NOT NULL PRIMARY KEY,
    announcement JSON        NOT NULL,
    not_before   DATETIME(6) NOT NULL,
    failures     INT         NOT NULL,
    parked       BOOLEAN     NOT NULL,
    error        VARCHAR(500),
    created_at   DATETIME(6) NOT NULL
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
