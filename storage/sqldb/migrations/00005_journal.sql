-- +goose Up

-- Batches of the message journal. id is BYTEA because it is sorted by: text
-- would sort by the database's collation.
CREATE TABLE journal_segments (
    id       BYTEA   PRIMARY KEY,
    first_at BIGINT  NOT NULL,
    last_at  BIGINT  NOT NULL,
    records  INTEGER NOT NULL,
    filter   BYTEA   NOT NULL,
    body     BYTEA   NOT NULL
);
-- A search goes down the ids until it has enough, or through a narrow span of
-- time; either finds all that it compares in the index.
CREATE INDEX journal_segments_by_id ON journal_segments (id, last_at, first_at);
CREATE INDEX journal_segments_by_time ON journal_segments (last_at, first_at, id);
