-- +goose Up
-- Times are microseconds since 1970 in UTC, digests raw bytes, ids dashed lower-case UUIDs.

CREATE TABLE installation (
    id              INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    setup_at        INTEGER,
    setup_code_hash BLOB CHECK (setup_code_hash IS NULL OR length(setup_code_hash) = 32),
    canary          TEXT NOT NULL
) STRICT;

CREATE TABLE accounts (
    id                 TEXT    NOT NULL PRIMARY KEY CHECK (length(id) = 36),
    email              TEXT    NOT NULL CHECK (length(email) BETWEEN 3 AND 254),
    name               TEXT    NOT NULL CHECK (length(name) BETWEEN 1 AND 255),
    password_hash      TEXT,
    status             TEXT    NOT NULL CHECK (status IN ('pending', 'active', 'banned', 'closed')),
    deployment_admin   INTEGER NOT NULL CHECK (deployment_admin IN (0, 1)),
    interface_language TEXT,
    timezone           TEXT,
    last_login_at      INTEGER,
    last_login_ip      TEXT,
    created_at         INTEGER NOT NULL,
    updated_at         INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX uq_accounts_email ON accounts (email);

CREATE TABLE workspaces (
    id         TEXT    NOT NULL PRIMARY KEY CHECK (length(id) = 36),
    name       TEXT    NOT NULL CHECK (length(name) BETWEEN 1 AND 255),
    status     TEXT    NOT NULL CHECK (status IN ('normal', 'archive')),
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;

CREATE TABLE memberships (
    id           TEXT    NOT NULL PRIMARY KEY CHECK (length(id) = 36),
    workspace_id TEXT    NOT NULL REFERENCES workspaces (id) ON DELETE CASCADE,
    account_id   TEXT    NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    role         TEXT    NOT NULL CHECK (role IN ('owner', 'admin', 'editor', 'normal')),
    current      INTEGER NOT NULL CHECK (current IN (0, 1)),
    invited_by   TEXT    REFERENCES accounts (id) ON DELETE SET NULL,
    created_at   INTEGER NOT NULL,
    updated_at   INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX uq_memberships_member ON memberships (workspace_id, account_id);
CREATE UNIQUE INDEX uq_memberships_current ON memberships (account_id) WHERE current = 1;
CREATE UNIQUE INDEX uq_memberships_owner ON memberships (workspace_id) WHERE role = 'owner';

CREATE TABLE console_sessions (
    id            TEXT    NOT NULL PRIMARY KEY CHECK (length(id) = 36),
    account_id    TEXT    NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    token_hash    BLOB    NOT NULL CHECK (length(token_hash) = 32),
    created_at    INTEGER NOT NULL,
    last_seen_at  INTEGER NOT NULL,
    expires_at    INTEGER NOT NULL,
    remember      INTEGER NOT NULL CHECK (remember IN (0, 1)),
    how           TEXT    NOT NULL CHECK (how IN ('setup', 'password', 'activation', 'sso')),
    connection_id TEXT,
    auth_at       INTEGER,
    ip            TEXT    NOT NULL,
    user_agent    TEXT    NOT NULL CHECK (length(user_agent) <= 256)
) STRICT;
CREATE UNIQUE INDEX uq_console_sessions_token ON console_sessions (token_hash);
CREATE INDEX idx_console_sessions_account ON console_sessions (account_id);
CREATE INDEX idx_console_sessions_connection ON console_sessions (connection_id);

CREATE TABLE oauth_access_tokens (
    id              TEXT    NOT NULL PRIMARY KEY CHECK (length(id) = 36),
    subject_email   TEXT    NOT NULL CHECK (length(subject_email) <= 255),
    subject_issuer  TEXT    NOT NULL CHECK (length(subject_issuer) <= 255),
    subject_id      TEXT    NOT NULL CHECK (length(subject_id) <= 255),
    account_id      TEXT    REFERENCES accounts (id) ON DELETE SET NULL,
    connection_id   TEXT    CHECK (length(connection_id) <= 40),
    workspace_id    TEXT    REFERENCES workspaces (id) ON DELETE SET NULL,
    client_id       TEXT    NOT NULL CHECK (length(client_id) <= 64),
    device_label    TEXT    NOT NULL CHECK (length(device_label) <= 255),
    prefix          TEXT    NOT NULL CHECK (length(prefix) <= 8),
    token_hash      BLOB    CHECK (length(token_hash) = 32),
    previous_hash   BLOB    CHECK (length(previous_hash) = 32),
    created_at      INTEGER NOT NULL,
    expires_at      INTEGER NOT NULL,
    approved_at     INTEGER NOT NULL,
    last_used_at    INTEGER,
    revoked_at      INTEGER,
    revoke_reason   TEXT    CHECK (length(revoke_reason) <= 32),
    created_ip      TEXT    CHECK (length(created_ip) <= 45),
    last_used_ip    TEXT    CHECK (length(last_used_ip) <= 45),
    grant_ref       BLOB    NOT NULL CHECK (length(grant_ref) = 32),
    CONSTRAINT ck_oauth_account_prefix CHECK ((prefix = 'dfoa_') = (subject_issuer = 'dify:account')),
    CONSTRAINT ck_oauth_external_prefix CHECK (prefix <> 'dfoe_' OR (account_id IS NULL AND substr(subject_issuer, 1, 5) <> 'dify:')),
    CONSTRAINT ck_oauth_hash_while_live CHECK ((token_hash IS NULL) = (revoked_at IS NOT NULL))
) STRICT;
CREATE UNIQUE INDEX uq_oauth_token_hash ON oauth_access_tokens (token_hash);
CREATE UNIQUE INDEX uq_oauth_active_per_device ON oauth_access_tokens (subject_email, subject_issuer, client_id, device_label) WHERE revoked_at IS NULL;
CREATE INDEX idx_oauth_subject ON oauth_access_tokens (subject_issuer, subject_id, created_at, id) WHERE revoked_at IS NULL;
CREATE INDEX idx_oauth_expires_at ON oauth_access_tokens (expires_at) WHERE revoked_at IS NULL;
CREATE INDEX idx_oauth_account ON oauth_access_tokens (account_id) WHERE revoked_at IS NULL AND account_id IS NOT NULL;
CREATE INDEX idx_oauth_revoked_at ON oauth_access_tokens (revoked_at) WHERE revoked_at IS NOT NULL;

CREATE TABLE subject_epochs (
    subject_key TEXT    NOT NULL PRIMARY KEY CHECK (length(subject_key) = 64),
    epoch       INTEGER NOT NULL,
    epoch_at    INTEGER,
    reason      TEXT,
    updated_at  INTEGER NOT NULL
) STRICT;

CREATE TABLE grant_fences (
    grant_ref  BLOB    NOT NULL PRIMARY KEY CHECK (length(grant_ref) = 32),
    claim_no   INTEGER NOT NULL,
    mints      INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;
CREATE INDEX idx_grant_fences_expires_at ON grant_fences (expires_at);

CREATE TABLE audit_events (
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
CREATE INDEX idx_audit_events_at ON audit_events (at, id);
CREATE INDEX idx_audit_events_event ON audit_events (event, at);

-- +goose Down
DROP TABLE audit_events;
DROP TABLE grant_fences;
DROP TABLE subject_epochs;
DROP TABLE oauth_access_tokens;
DROP TABLE console_sessions;
DROP TABLE memberships;
DROP TABLE workspaces;
DROP TABLE accounts;
DROP TABLE installation;
