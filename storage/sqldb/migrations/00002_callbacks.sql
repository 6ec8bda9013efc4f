-- +goose Up

-- Where requesters want to hear the results of commands and charging profiles.
-- The platforms are no foreign keys: a previous binary deletes platforms
-- without knowing this table, and what is left over expires.
CREATE TABLE callbacks (
    id                 TEXT   PRIMARY KEY,
    url                TEXT   NOT NULL, -- sealed
    requester          TEXT   NOT NULL, -- country code and party id, like NLCPA
    receiver           TEXT   NOT NULL,
    requester_platform TEXT   NOT NULL,
    receiver_platform  TEXT   NOT NULL,
    module             TEXT   NOT NULL,
    created_at         BIGINT,
    expires_at         BIGINT NOT NULL -- none without an end
);
CREATE INDEX callbacks_by_expiry ON callbacks (expires_at);
