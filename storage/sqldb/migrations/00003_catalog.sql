-- +goose Up

-- One row, like directory: its revision is raised by every transaction that
-- changes the catalog, and only if it is the one that the change was made for.
-- last_seq is the highest seq ever given.
CREATE TABLE catalog_clock (
    id       INTEGER PRIMARY KEY CHECK (id = 1),
    revision BIGINT  NOT NULL,
    last_seq BIGINT  NOT NULL
);
INSERT INTO catalog_clock (id, revision, last_seq) VALUES (1, 0, 0);

-- The objects that were broadcast. id is whatever bytes stood in a URL, of any
-- length, which neither text nor an index can hold in general; so it is BYTEA
-- (SQLite keeps the bytes as they are whatever the type is called), and key is
-- a hash of module, owner and id.
--
-- A Postgres that can is told to compress document by lz4 later: not all can,
-- and no statement that tells it so is known to SQLite.
CREATE TABLE catalog (
    key          BYTEA   PRIMARY KEY,
    module       TEXT    NOT NULL,
    owner        TEXT    NOT NULL, -- country code and party id, like NLCPA
    id           BYTEA   NOT NULL,
    seq          BIGINT  NOT NULL,
    revision     BIGINT  NOT NULL,
    last_updated BIGINT,
    changed_at   BIGINT,
    deleted      BOOLEAN NOT NULL,
    document     TEXT    NOT NULL -- empty when deleted
);
CREATE UNIQUE INDEX catalog_by_seq ON catalog (seq);
CREATE INDEX catalog_by_revision ON catalog (revision);
CREATE INDEX catalog_deleted ON catalog (changed_at) WHERE deleted;
