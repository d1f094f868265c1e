-- +goose Up
-- What identity providers publish of themselves, as it was read: of each address of a
-- connection one document serves, and at most one waits for a person's decision.
CREATE TABLE sso_idp_metadata (
    id               TEXT    NOT NULL PRIMARY KEY CHECK (length(id) = 36),
    connection_id    TEXT    NOT NULL REFERENCES sso_connections (id),
    source           TEXT    NOT NULL CHECK (length(source) BETWEEN 1 AND 2048),
    state            TEXT    NOT NULL CHECK (state IN ('current', 'pending', 'rejected', 'past')),
    document         TEXT    NOT NULL,
    digest           TEXT    NOT NULL CHECK (length(digest) = 64),
    etag             TEXT,
    last_modified    TEXT,
    diff             TEXT,
    fetched_at       INTEGER NOT NULL,
    checked_at       INTEGER NOT NULL,
    due_at           INTEGER NOT NULL,
    failure          TEXT,
    decided_by       TEXT,
    decided_at       INTEGER
) STRICT;
CREATE UNIQUE INDEX uq_sso_idp_metadata_current ON sso_idp_metadata (connection_id, source) WHERE state = 'current';
CREATE UNIQUE INDEX uq_sso_idp_metadata_pending ON sso_idp_metadata (connection_id, source) WHERE state = 'pending';
CREATE INDEX idx_sso_idp_metadata_connection ON sso_idp_metadata (connection_id, fetched_at);

-- The keys with which a connection signs its requests.
CREATE TABLE sso_sp_keys (
    id               TEXT    NOT NULL PRIMARY KEY CHECK (length(id) = 36),
    connection_id    TEXT    NOT NULL REFERENCES sso_connections (id),
    state            TEXT    NOT NULL CHECK (state IN ('next', 'current', 'retiring', 'retired')),
    certificate      TEXT    NOT NULL,
    private_sealed   TEXT    NOT NULL,
    not_after        INTEGER NOT NULL,
    staged_at        INTEGER NOT NULL,
    promoted_at      INTEGER,
    retiring_at      INTEGER,
    retired_at       INTEGER,
    metadata_seen_at INTEGER,
    tested_at        INTEGER
) STRICT;
CREATE UNIQUE INDEX uq_sso_sp_keys_state ON sso_sp_keys (connection_id, state) WHERE state IN ('current', 'next');
CREATE INDEX idx_sso_sp_keys_connection ON sso_sp_keys (connection_id, staged_at);

-- +goose Down
DROP TABLE sso_sp_keys;
DROP TABLE sso_idp_metadata;
