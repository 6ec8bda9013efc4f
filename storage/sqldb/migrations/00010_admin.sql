-- +goose Up

-- The tokens of the admin API but root's, which is a setting. A previous binary
-- does not know them: on its replica only root's token opens.
CREATE TABLE admin_tokens (
    id         TEXT   PRIMARY KEY,
    name       TEXT   NOT NULL UNIQUE,
    role       TEXT   NOT NULL,
    hash       TEXT   NOT NULL UNIQUE, -- SHA-256 in hexadecimal digits
    created_at BIGINT NOT NULL,
    created_by TEXT   NOT NULL,
    expires_at BIGINT,
    last_used  BIGINT
);

-- What was changed, by whom. id is BYTEA because it is sorted by: text would
-- sort by the database's collation. What a previous binary changes is not here.
CREATE TABLE audit_entries (
    id         BYTEA   PRIMARY KEY,
    at         BIGINT  NOT NULL,
    actor_kind TEXT    NOT NULL,
    actor_id   TEXT    NOT NULL,
    actor_name TEXT    NOT NULL,
    actor_role TEXT    NOT NULL,
    remote     TEXT    NOT NULL,
    forwarded  TEXT    NOT NULL,
    action     TEXT    NOT NULL,
    method     TEXT    NOT NULL,
    route      TEXT    NOT NULL,
    target     TEXT    NOT NULL,
    outcome    TEXT    NOT NULL,
    status     INTEGER NOT NULL,
    detail     TEXT    NOT NULL,
    changes    TEXT    NOT NULL -- a JSON array
);
CREATE INDEX audit_entries_by_time ON audit_entries (at);
CREATE INDEX audit_entries_by_target ON audit_entries (target, id);
