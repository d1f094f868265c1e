-- +goose Up
-- Times are microseconds since 1970 in UTC, digests raw bytes, ids dashed lower-case UUIDs
-- but a connection's, which people choose and which stands in addresses.

CREATE TABLE sso_installation (
    id                     INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    canary                 TEXT    NOT NULL,
    fingerprint_key_sealed TEXT    NOT NULL
) STRICT;

CREATE TABLE sso_connections (
    id               TEXT    NOT NULL PRIMARY KEY CHECK (length(id) BETWEEN 2 AND 36),
    name             TEXT    NOT NULL CHECK (length(name) BETWEEN 1 AND 64),
    button           TEXT    CHECK (length(button) BETWEEN 1 AND 64),
    protocol         TEXT    NOT NULL CHECK (protocol IN ('oidc', 'oauth2', 'saml')),
    preset           TEXT    NOT NULL,
    state            TEXT    NOT NULL CHECK (state IN ('draft', 'tested', 'enabled', 'disabled')),
    listed           INTEGER NOT NULL CHECK (listed IN (0, 1)),
    is_default       INTEGER NOT NULL CHECK (is_default IN (0, 1)),
    position         INTEGER NOT NULL,
    intents          TEXT    NOT NULL,
    managed_by       TEXT    NOT NULL CHECK (managed_by IN ('api', 'file')),
    head_revision    TEXT    NOT NULL CHECK (length(head_revision) = 64),
    serving_revision TEXT    CHECK (length(serving_revision) = 64),
    created_at       INTEGER NOT NULL,
    updated_at       INTEGER NOT NULL,
    deleted_at       INTEGER
) STRICT;
CREATE UNIQUE INDEX uq_sso_connections_default ON sso_connections (is_default) WHERE is_default = 1 AND deleted_at IS NULL;

-- A revision never changes but for the marks of its test and of a forced enabling.
CREATE TABLE sso_connection_revisions (
    connection_id    TEXT    NOT NULL REFERENCES sso_connections (id),
    hash             TEXT    NOT NULL CHECK (length(hash) = 64),
    seq              INTEGER NOT NULL,
    config           TEXT    NOT NULL,
    secrets_sealed   TEXT,
    created_at       INTEGER NOT NULL,
    created_by       TEXT    NOT NULL,
    tested_at        INTEGER,
    tested_by        TEXT,
    tested_reference TEXT,
    forced_reason    TEXT,
    PRIMARY KEY (connection_id, hash)
) STRICT;
CREATE UNIQUE INDEX uq_sso_connection_revisions_seq ON sso_connection_revisions (connection_id, seq);

-- A domain goes with its connection; an issuer stays, for whoever configures it anew
-- would take over its subjects.
CREATE TABLE sso_connection_domains (
    domain        TEXT NOT NULL PRIMARY KEY CHECK (length(domain) BETWEEN 1 AND 253),
    connection_id TEXT NOT NULL REFERENCES sso_connections (id)
) STRICT;
CREATE INDEX idx_sso_connection_domains_connection ON sso_connection_domains (connection_id);

CREATE TABLE sso_connection_issuers (
    issuer        TEXT NOT NULL PRIMARY KEY CHECK (length(issuer) BETWEEN 1 AND 255),
    connection_id TEXT NOT NULL REFERENCES sso_connections (id)
) STRICT;
CREATE INDEX idx_sso_connection_issuers_connection ON sso_connection_issuers (connection_id);

-- Also a callback that belongs to no attempt has a row, so that its reference explains
-- itself; it has no connection.
CREATE TABLE sso_attempts (
    id            TEXT    NOT NULL PRIMARY KEY CHECK (length(id) = 36),
    reference     TEXT    NOT NULL CHECK (length(reference) = 11),
    handle_hash   BLOB    CHECK (length(handle_hash) = 32),
    connection_id TEXT,
    revision      TEXT,
    intent        TEXT,
    state         TEXT    NOT NULL CHECK (state IN ('created', 'started', 'returned', 'succeeded', 'failed')),
    code          TEXT,
    public_code   TEXT,
    created_at    INTEGER NOT NULL,
    expires_at    INTEGER NOT NULL,
    finished_at   INTEGER,
    trace         TEXT    NOT NULL
) STRICT;
CREATE UNIQUE INDEX uq_sso_attempts_reference ON sso_attempts (reference);
CREATE UNIQUE INDEX uq_sso_attempts_handle ON sso_attempts (handle_hash);
CREATE INDEX idx_sso_attempts_connection ON sso_attempts (connection_id, created_at);
CREATE INDEX idx_sso_attempts_code ON sso_attempts (code, created_at);
CREATE INDEX idx_sso_attempts_created_at ON sso_attempts (created_at);

CREATE TABLE sso_audit_events (
    id           TEXT    NOT NULL PRIMARY KEY CHECK (length(id) = 36),
    at           INTEGER NOT NULL,
    event        TEXT    NOT NULL,
    actor_type   TEXT    NOT NULL,
    actor_id     TEXT,
    subject_key  TEXT,
    workspace_id TEXT,
    token_id     TEXT,
    request_id   TEXT    NOT NULL,
    ip           TEXT,
    user_agent   TEXT,
    fields       TEXT    NOT NULL
) STRICT;
CREATE INDEX idx_sso_audit_events_at ON sso_audit_events (at, id);
CREATE INDEX idx_sso_audit_events_event ON sso_audit_events (event, at);

-- What core has yet to be told.
CREATE TABLE sso_outbox (
    id      TEXT    NOT NULL PRIMARY KEY CHECK (length(id) = 36),
    kind    TEXT    NOT NULL,
    payload TEXT    NOT NULL,
    next_at INTEGER NOT NULL,
    tries   INTEGER NOT NULL,
    done_at INTEGER
) STRICT;
CREATE INDEX idx_sso_outbox_next_at ON sso_outbox (next_at) WHERE done_at IS NULL;

CREATE TABLE sso_leases (
    name     TEXT    NOT NULL PRIMARY KEY CHECK (length(name) BETWEEN 1 AND 64),
    owner    TEXT    NOT NULL CHECK (length(owner) BETWEEN 1 AND 64),
    until_at INTEGER NOT NULL,
    fence    INTEGER NOT NULL
) STRICT;

-- +goose Down
DROP TABLE sso_leases;
DROP TABLE sso_outbox;
DROP TABLE sso_audit_events;
DROP TABLE sso_attempts;
DROP TABLE sso_connection_issuers;
DROP TABLE sso_connection_domains;
DROP TABLE sso_connection_revisions;
DROP TABLE sso_connections;
DROP TABLE sso_installation;
