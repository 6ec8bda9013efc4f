-- +goose Up

-- Which replica made a revision of the catalog whose broadcasts have not ended.
-- The row is written in the revision's own transaction. A previous binary writes
-- none: what it has under way it knows by the mark. One index answers all that is
-- asked; a second would be felt by every commit.
--
-- objects are the keys of the rows that the commit wrote, one behind the other: a
-- later commit may write them again, for another part of the object. NULL is those
-- that still have the revision.
CREATE TABLE outbox_commits (
    replica  TEXT   NOT NULL,
    revision BIGINT NOT NULL,
    objects  BYTEA,
    PRIMARY KEY (replica, revision)
);

-- What the mark says that a previous binary, which was killed, had under way; no
-- replica has an empty name, so this one is dead.
INSERT INTO outbox_commits (replica, revision)
    SELECT DISTINCT '', catalog.revision FROM catalog, catalog_clock WHERE catalog.revision > catalog_clock.mark;

-- One row. Its number is raised first in every transaction that adds parcels,
-- which holds back all others until the commit: numbers become visible in order.
CREATE TABLE outbox_clock (
    id          INTEGER PRIMARY KEY CHECK (id = 1),
    last_parcel BIGINT  NOT NULL
);
INSERT INTO outbox_clock (id, last_parcel) VALUES (1, 0);

-- Broadcasts of what the catalog does not keep: drivers' tokens. What they are
-- about is a keyed hash of module and id; nothing of it stands here in clear. A
-- parcel that has ended stays for a while without its contents, since older ones
-- of its object may be under way still.
CREATE TABLE outbox_parcels (
    id          BIGINT  PRIMARY KEY,
    replica     TEXT    NOT NULL,
    object_hash BYTEA   NOT NULL,
    owner       TEXT    NOT NULL, -- country code and party id, like NLCPA
    put         BOOLEAN NOT NULL, -- the whole object, which makes older ones pointless
    sealed      TEXT,             -- NULL once it has ended, and no older one of its object is open
    ended_at    BIGINT
);
CREATE INDEX outbox_parcels_open ON outbox_parcels (replica, id) WHERE sealed IS NOT NULL;
CREATE INDEX outbox_parcels_by_object ON outbox_parcels (object_hash, id);
CREATE INDEX outbox_parcels_ended ON outbox_parcels (ended_at) WHERE sealed IS NULL;
