-- Streams of sessions and stores that retention deleted events of. Above gone_to the numbers have no gaps.
CREATE TABLE event_floors (
    stream_id BINARY(16) NOT NULL,
    gone_to   BIGINT     NOT NULL, -- the largest deleted number
    PRIMARY KEY (stream_id)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
