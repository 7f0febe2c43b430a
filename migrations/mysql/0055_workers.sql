-- Workers that run, or did a moment ago: among those heard of lately each integrator's cap and rate are divided.
CREATE TABLE workers (
    id         BINARY(16)   NOT NULL PRIMARY KEY,
    label      VARCHAR(255) NOT NULL,
    started_at DATETIME(6)  NOT NULL,
    seen_at    DATETIME(6)  NOT NULL
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
