-- +goose Up

-- Which session a charging profile was for, when the result that is waited for
-- says who set it; empty for all other callbacks, and for those of a previous
-- binary.
ALTER TABLE callbacks ADD COLUMN session_id TEXT NOT NULL DEFAULT '';
