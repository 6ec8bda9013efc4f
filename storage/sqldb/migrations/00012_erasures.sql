-- +goose Up

-- Lessons are kept under a keyed hash from now on: the plain one that stood here
-- could be led back to a token's uid by trying them all. Traffic teaches them
-- anew. What a previous binary still adds during a roll-out is not found by this
-- one, and expires.
DELETE FROM lessons;

-- What was erased lately: every replica reads it, and drops it from its memory.
CREATE TABLE erasures (
    sealed TEXT   PRIMARY KEY, -- which lessons
    at     BIGINT NOT NULL
);
