CREATE TABLE accounts (
    id            BINARY(16)     NOT NULL PRIMARY KEY,
    username      VARBINARY(100) NOT NULL,
    password_hash VARCHAR(200)   NOT NULL,
    role          VARCHAR(20)    NOT NULL,
    integrator_id BINARY(16),
    disabled      BOOLEAN        NOT NULL,
    created_at    DATETIME(6)    NOT NULL,
    UNIQUE (username)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
