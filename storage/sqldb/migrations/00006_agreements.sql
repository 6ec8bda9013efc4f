-- +goose Up

-- Which parties may exchange what, when the hub's agreements are closed. The
-- parties are no foreign keys: an agreement may precede a registration and
-- outlives it. A previous binary does not know the table, and asks for none.
CREATE TABLE agreements (
    party   TEXT NOT NULL, -- the lesser: country code and party id, like NLCPA; empty for every party
    other   TEXT NOT NULL,
    modules TEXT NOT NULL, -- a JSON array; an empty one is all
    PRIMARY KEY (party, other)
);
