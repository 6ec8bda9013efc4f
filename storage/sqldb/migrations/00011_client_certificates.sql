-- +goose Up

-- The key of the client certificate that a platform has to present; empty for
-- none, and for what a previous binary writes.
ALTER TABLE platforms ADD COLUMN client_certificate TEXT NOT NULL DEFAULT '';
