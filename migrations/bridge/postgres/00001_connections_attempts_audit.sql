-- +goose Up
-- Every time has microseconds; ids are dashed lower-case UUIDs
-- but a connection's, which people choose and which stands in addresses.

CREATE TABLE sso_installation (
    id                     integer NOT NULL PRIMARY KEY CHECK (id = 1),
    canary                 text    NOT NULL,
    fingerprint_key_sealed text    NOT NULL
);

CREATE TABLE sso_connections (
    id               text    NOT NULL PRIMARY KEY CHECK (length(id) BETWEEN 2 AND 36),
    name             text    NOT NULL CHECK (length(name) BETWEEN 1 AND 64),
    button           text    CHECK (length(button) BETWEEN 1 AND 64),
    protocol         text    NOT NULL CHECK (protocol IN ('oidc', 'oauth2', 'saml')),
    preset           text    NOT NULL,
    state            text    NOT NULL CHECK (state IN ('draft', 'tested', 'enabled', 'disabled')),
    listed           boolean NOT NULL,
    is_default       boolean NOT NULL,
    position         integer NOT NULL,
    intents          text    NOT NULL,
    managed_by       text    NOT NULL CHECK (managed_by IN ('api', 'file')),
    head_revision    text    NOT NULL CHECK (length(head_revision) = 64),
    serving_revision text    CHECK (length(serving_revision) = 64),
    created_at       timestamptz NOT NULL,
    updated_at       timestamptz NOT NULL,
    deleted_at       timestamptz
);
CREATE UNIQUE INDEX uq_sso_connections_default ON sso_connections (is_default) WHERE is_default AND deleted_at IS NULL;

-- A revision never changes but for the marks of its test and of a forced enabling.
CREATE TABLE sso_connection_revisions (
    connection_id    text    NOT NULL REFERENCES sso_connections (id),
    hash             text    NOT NULL CHECK (length(hash) = 64),
    seq              integer NOT NULL,
    config           text    NOT NULL,
    secrets_sealed   text,
    created_at       timestamptz NOT NULL,
    created_by       text    NOT NULL,
    tested_at        timestamptz,
    tested_by        text,
    tested_reference text,
    forced_reason    text,
    PRIMARY KEY (connection_id, hash)
);
CREATE UNIQUE INDEX uq_sso_connection_revisions_seq ON sso_connection_revisions (connection_id, seq);

-- A domain goes with its connection; an issuer stays, for whoever configures it anew
-- would take over its subjects.
CREATE TABLE sso_connection_domains (
    domain        text NOT NULL PRIMARY KEY CHECK (length(domain) BETWEEN 1 AND 253),
    connection_id text NOT NULL REFERENCES sso_connections (id)
);
CREATE INDEX idx_sso_connection_domains_connection ON sso_connection_domains (connection_id);

CREATE TABLE sso_connection_issuers (
    issuer        text NOT NULL PRIMARY KEY CHECK (length(issuer) BETWEEN 1 AND 255),
    connection_id text NOT NULL REFERENCES sso_connections (id)
);
CREATE INDEX idx_sso_connection_issuers_connection ON sso_connection_issuers (connection_id);

-- Also a callback that belongs to no attempt has a row, so that its reference explains
-- itself; it has no connection.
CREATE TABLE sso_attempts (
    id            text    NOT NULL PRIMARY KEY CHECK (length(id) = 36),
    reference     text    NOT NULL CHECK (length(reference) = 11),
    handle_hash   bytea    CHECK (octet_length(handle_hash) = 32),
    connection_id text,
    revision      text,
    intent        text,
    state         text    NOT NULL CHECK (state IN ('created', 'started', 'returned', 'succeeded', 'failed')),
    code          text,
    public_code   text,
    created_at    timestamptz NOT NULL,
    expires_at    timestamptz NOT NULL,
    finished_at   timestamptz,
    trace         text    NOT NULL
);
CREATE UNIQUE INDEX uq_sso_attempts_reference ON sso_attempts (reference);
CREATE UNIQUE INDEX uq_sso_attempts_handle ON sso_attempts (handle_hash);
CREATE INDEX idx_sso_attempts_connection ON sso_attempts (connection_id, created_at);
CREATE INDEX idx_sso_attempts_code ON sso_attempts (code, created_at);
CREATE INDEX idx_sso_attempts_created_at ON sso_attempts (created_at);

CREATE TABLE sso_audit_events (
    id           text    NOT NULL PRIMARY KEY CHECK (length(id) = 36),
    at           timestamptz NOT NULL,
    event        text    NOT NULL,
    actor_type   text    NOT NULL,
    actor_id     text,
    subject_key  text,
    workspace_id text,
    token_id     text,
    request_id   text    NOT NULL,
    ip           text,
    user_agent   text,
    fields       text    NOT NULL
);
CREATE INDEX idx_sso_audit_events_at ON sso_audit_events (at, id);
CREATE INDEX idx_sso_audit_events_event ON sso_audit_events (event, at);

-- What core has yet to be told.
CREATE TABLE sso_outbox (
    id      text    NOT NULL PRIMARY KEY CHECK (length(id) = 36),
    kind    text    NOT NULL,
    payload text    NOT NULL,
    next_at timestamptz NOT NULL,
    tries   integer NOT NULL,
    done_at timestamptz
);
CREATE INDEX idx_sso_outbox_next_at ON sso_outbox (next_at) WHERE done_at IS NULL;

CREATE TABLE sso_leases (
    name     text    NOT NULL PRIMARY KEY CHECK (length(name) BETWEEN 1 AND 64),
    owner    text    NOT NULL CHECK (length(owner) BETWEEN 1 AND 64),
    until_at timestamptz NOT NULL,
    fence    bigint NOT NULL
);

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
