-- +goose Up

-- The catalog revision up to which every broadcast has reached its receivers;
-- what is newer is sent again after a crash. NULL until it is known. A previous
-- binary leaves it alone: then it is lower than it need be, and more is sent.
ALTER TABLE catalog_clock ADD COLUMN mark BIGINT;
