-- Streams of sessions and stores that retention deleted events of. Above gone_to the numbers have no gaps.
CREATE TABLE event_floors (
    stream_id BLOB    NOT NULL PRIMARY KEY,
    gone_to   INTEGER NOT NULL -- the largest deleted number
) STRICT;
