-- +goose Up
-- What identity providers publish of themselves, as it was read: of each address of a
-- connection one document serves, and at most one waits for a person's decision.
CREATE TABLE sso_idp_metadata (
    id            text        NOT NULL PRIMARY KEY CHECK (length(id) = 36),
    connection_id text        NOT NULL REFERENCES sso_connections (id),
    source        text        NOT NULL CHECK (length(source) BETWEEN 1 AND 2048),
    state         text        NOT NULL CHECK (state IN ('current', 'pending', 'rejected', 'past')),
    document      text        NOT NULL,
    digest        text        NOT NULL CHECK (length(digest) = 64),
    etag          text,
    last_modified text,
    diff          text,
    fetched_at    timestamptz NOT NULL,
    checked_at    timestamptz NOT NULL,
    due_at        timestamptz NOT NULL,
    failure       text,
    decided_by    text,
    decided_at    timestamptz
);
CREATE UNIQUE INDEX uq_sso_idp_metadata_current ON sso_idp_metadata (connection_id, source) WHERE state = 'current';
CREATE UNIQUE INDEX uq_sso_idp_metadata_pending ON sso_idp_metadata (connection_id, source) WHERE state = 'pending';
CREATE INDEX idx_sso_idp_metadata_connection ON sso_idp_metadata (connection_id, fetched_at);

-- The keys with which a connection signs its requests.
CREATE TABLE sso_sp_keys (
    id               text        NOT NULL PRIMARY KEY CHECK (length(id) = 36),
    connection_id    text        NOT NULL REFERENCES sso_connections (id),
    state            text        NOT NULL CHECK (state IN ('next', 'current', 'retiring', 'retired')),
    certificate      text        NOT NULL,
    private_sealed   text        NOT NULL,
    not_after        timestamptz NOT NULL,
    staged_at        timestamptz NOT NULL,
    promoted_at      timestamptz,
    retiring_at      timestamptz,
    retired_at       timestamptz,
    metadata_seen_at timestamptz,
    tested_at        timestamptz
);
CREATE UNIQUE INDEX uq_sso_sp_keys_state ON sso_sp_keys (connection_id, state) WHERE state IN ('current', 'next');
CREATE INDEX idx_sso_sp_keys_connection ON sso_sp_keys (connection_id, staged_at);

-- +goose Down
DROP TABLE sso_sp_keys;
DROP TABLE sso_idp_metadata;
