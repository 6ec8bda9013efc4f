-- +goose Up

-- What traffic taught about who has what. key is a hash: no driver's token and
-- no session stands here in clear.
CREATE TABLE lessons (
    key        BYTEA  NOT NULL,
    owner      TEXT   NOT NULL, -- country code and party id, like NLCPA
    with_party TEXT   NOT NULL, -- empty for none
    kind       TEXT   NOT NULL,
    expires_at BIGINT NOT NULL, -- none without an end
    PRIMARY KEY (key, owner, with_party)
);
CREATE INDEX lessons_by_expiry ON lessons (expires_at);
