-- Who opened a round of a handoff by hand, and when. The first round opens by itself.
CREATE TABLE handoff_rounds (
    handoff_id BINARY(16)  NOT NULL,
    round      INT         NOT NULL,
    retry_id   BINARY(16)  NOT NULL,
    account_id BINARY(16)  NOT NULL,
    opened_at  DATETIME(6) NOT NULL,
    due_at     DATETIME(6) NOT NULL,
    PRIMARY KEY (handoff_id, round)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
