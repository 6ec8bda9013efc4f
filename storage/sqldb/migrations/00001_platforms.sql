-- +goose Up

-- One row. Its revision is raised first in every transaction that changes
-- platforms, which holds back all others until the commit. history is drawn
-- when the database is first opened and tells two databases apart.
CREATE TABLE directory (
    id       INTEGER PRIMARY KEY CHECK (id = 1),
    revision BIGINT  NOT NULL,
    history  TEXT    NOT NULL
);
INSERT INTO directory (id, revision, history) VALUES (1, 0, '');

CREATE TABLE platforms (
    id            TEXT    PRIMARY KEY,
    name          TEXT    NOT NULL,
    status        TEXT    NOT NULL,
    status_since  BIGINT,
    held          BOOLEAN NOT NULL,
    version       TEXT    NOT NULL,
    version_limit TEXT    NOT NULL,
    versions_url  TEXT    NOT NULL,
    outbound      TEXT    NOT NULL, -- sealed; empty for none
    quirks        TEXT    NOT NULL, -- a JSON object
    created_at    BIGINT,
    updated_at    BIGINT,
    last_seen     BIGINT,
    revision      BIGINT  NOT NULL
);

-- A claim to a party in a role: approved by the operator, registered by the
-- platform, or both. The positions keep the order of either list. The primary
-- key lets no two platforms claim the same.
CREATE TABLE platform_parties (
    country_code        TEXT NOT NULL,
    party_id            TEXT NOT NULL,
    role                TEXT NOT NULL,
    platform_id         TEXT NOT NULL REFERENCES platforms (id) ON DELETE CASCADE,
    approved_position   INTEGER,
    registered_position INTEGER,
    business_details    TEXT, -- a JSON object as the peer wrote it
    PRIMARY KEY (country_code, party_id, role),
    CHECK (approved_position IS NOT NULL OR registered_position IS NOT NULL)
);
CREATE INDEX platform_parties_by_platform ON platform_parties (platform_id);

CREATE TABLE platform_endpoints (
    platform_id    TEXT    NOT NULL REFERENCES platforms (id) ON DELETE CASCADE,
    position       INTEGER NOT NULL,
    module         TEXT    NOT NULL,
    interface_role TEXT    NOT NULL,
    url            TEXT    NOT NULL,
    PRIMARY KEY (platform_id, position)
);

CREATE TABLE inbound_tokens (
    hash        TEXT    PRIMARY KEY, -- SHA-256 in hex
    platform_id TEXT    NOT NULL REFERENCES platforms (id) ON DELETE CASCADE,
    position    INTEGER NOT NULL,
    kind        TEXT    NOT NULL,
    expires_at  BIGINT
);
CREATE INDEX inbound_tokens_by_platform ON inbound_tokens (platform_id);
