-- Stored as soon as it is verified; applied_at is null until a worker has applied it, whatever the result.
CREATE TABLE callbacks (
    id            BINARY(16)     NOT NULL PRIMARY KEY,
    integrator_id BINARY(16)     NOT NULL,
    webhook_id    VARBINARY(200) NOT NULL,
    order_id      BINARY(16),
    reference     VARBINARY(200),
    payload       JSON           NOT NULL,
    received_at   DATETIME(6)    NOT NULL,
    applied_at    DATETIME(6),
    result        VARCHAR(20),
    detail        VARCHAR(500),
    sequence      BIGINT,
    occurred_at   DATETIME(6),
    failures      INT            NOT NULL,
    UNIQUE (integrator_id, webhook_id)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
