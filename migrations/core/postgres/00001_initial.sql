-- +goose Up
-- Ids are dashed lower-case UUIDs; every time has microseconds.

CREATE TABLE installation (
    id              integer NOT NULL PRIMARY KEY CHECK (id = 1),
    setup_at        timestamptz,
    setup_code_hash bytea CHECK (setup_code_hash IS NULL OR octet_length(setup_code_hash) = 32),
    canary          text NOT NULL
);

CREATE TABLE accounts (
    id                 text    NOT NULL PRIMARY KEY CHECK (length(id) = 36),
    email              text    NOT NULL CHECK (length(email) BETWEEN 3 AND 254),
    name               text    NOT NULL CHECK (length(name) BETWEEN 1 AND 255),
    password_hash      text,
    status             text    NOT NULL CHECK (status IN ('pending', 'active', 'banned', 'closed')),
    deployment_admin   boolean NOT NULL,
    interface_language text,
    timezone           text,
    last_login_at      timestamptz,
    last_login_ip      text,
    created_at         timestamptz NOT NULL,
    updated_at         timestamptz NOT NULL
);
CREATE UNIQUE INDEX uq_accounts_email ON accounts (email);

CREATE TABLE workspaces (
    id         text    NOT NULL PRIMARY KEY CHECK (length(id) = 36),
    name       text    NOT NULL CHECK (length(name) BETWEEN 1 AND 255),
    status     text    NOT NULL CHECK (status IN ('normal', 'archive')),
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);

CREATE TABLE memberships (
    id           text    NOT NULL PRIMARY KEY CHECK (length(id) = 36),
    workspace_id text    NOT NULL REFERENCES workspaces (id) ON DELETE CASCADE,
    account_id   text    NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    role         text    NOT NULL CHECK (role IN ('owner', 'admin', 'editor', 'normal')),
    current      boolean NOT NULL,
    invited_by   text    REFERENCES accounts (id) ON DELETE SET NULL,
    created_at   timestamptz NOT NULL,
    updated_at   timestamptz NOT NULL
);
CREATE UNIQUE INDEX uq_memberships_member ON memberships (workspace_id, account_id);
CREATE UNIQUE INDEX uq_memberships_current ON memberships (account_id) WHERE current;
CREATE UNIQUE INDEX uq_memberships_owner ON memberships (workspace_id) WHERE role = 'owner';

CREATE TABLE console_sessions (
    id            text    NOT NULL PRIMARY KEY CHECK (length(id) = 36),
    account_id    text    NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    token_hash    bytea    NOT NULL CHECK (octet_length(token_hash) = 32),
    created_at    timestamptz NOT NULL,
    last_seen_at  timestamptz NOT NULL,
    expires_at    timestamptz NOT NULL,
    remember      boolean NOT NULL,
    how           text    NOT NULL CHECK (how IN ('setup', 'password', 'activation', 'sso')),
    connection_id text,
    auth_at       timestamptz,
    ip            text    NOT NULL,
    user_agent    text    NOT NULL CHECK (length(user_agent) <= 256)
);
CREATE UNIQUE INDEX uq_console_sessions_token ON console_sessions (token_hash);
CREATE INDEX idx_console_sessions_account ON console_sessions (account_id);
CREATE INDEX idx_console_sessions_connection ON console_sessions (connection_id);

CREATE TABLE oauth_access_tokens (
    id              text    NOT NULL PRIMARY KEY CHECK (length(id) = 36),
    subject_email   text    NOT NULL CHECK (length(subject_email) <= 255),
    subject_issuer  text    NOT NULL CHECK (length(subject_issuer) <= 255),
    subject_id      text    NOT NULL CHECK (length(subject_id) <= 255),
    account_id      text    REFERENCES accounts (id) ON DELETE SET NULL,
    connection_id   text    CHECK (length(connection_id) <= 40),
    workspace_id    text    REFERENCES workspaces (id) ON DELETE SET NULL,
    client_id       text    NOT NULL CHECK (length(client_id) <= 64),
    device_label    text    NOT NULL CHECK (length(device_label) <= 255),
    prefix          text    NOT NULL CHECK (length(prefix) <= 8),
    token_hash      bytea    CHECK (octet_length(token_hash) = 32),
    previous_hash   bytea    CHECK (octet_length(previous_hash) = 32),
    created_at      timestamptz NOT NULL,
    expires_at      timestamptz NOT NULL,
    approved_at     timestamptz NOT NULL,
    last_used_at    timestamptz,
    revoked_at      timestamptz,
    revoke_reason   text    CHECK (length(revoke_reason) <= 32),
    created_ip      text    CHECK (length(created_ip) <= 45),
    last_used_ip    text    CHECK (length(last_used_ip) <= 45),
    grant_ref       bytea    NOT NULL CHECK (octet_length(grant_ref) = 32),
    CONSTRAINT ck_oauth_account_prefix CHECK ((prefix = 'dfoa_') = (subject_issuer = 'dify:account')),
    CONSTRAINT ck_oauth_external_prefix CHECK (prefix <> 'dfoe_' OR (account_id IS NULL AND substr(subject_issuer, 1, 5) <> 'dify:')),
    CONSTRAINT ck_oauth_hash_while_live CHECK ((token_hash IS NULL) = (revoked_at IS NOT NULL))
);
CREATE UNIQUE INDEX uq_oauth_token_hash ON oauth_access_tokens (token_hash);
CREATE UNIQUE INDEX uq_oauth_active_per_device ON oauth_access_tokens (subject_email, subject_issuer, client_id, device_label) WHERE revoked_at IS NULL;
CREATE INDEX idx_oauth_subject ON oauth_access_tokens (subject_issuer, subject_id, created_at, id) WHERE revoked_at IS NULL;
CREATE INDEX idx_oauth_expires_at ON oauth_access_tokens (expires_at) WHERE revoked_at IS NULL;
CREATE INDEX idx_oauth_account ON oauth_access_tokens (account_id) WHERE revoked_at IS NULL AND account_id IS NOT NULL;
CREATE INDEX idx_oauth_revoked_at ON oauth_access_tokens (revoked_at) WHERE revoked_at IS NOT NULL;

CREATE TABLE subject_epochs (
    subject_key text    NOT NULL PRIMARY KEY CHECK (length(subject_key) = 64),
    epoch       bigint NOT NULL,
    epoch_at    timestamptz,
    reason      text,
    updated_at  timestamptz NOT NULL
);

CREATE TABLE grant_fences (
    grant_ref  bytea    NOT NULL PRIMARY KEY CHECK (octet_length(grant_ref) = 32),
    claim_no   bigint NOT NULL,
    mints      bigint NOT NULL,
    expires_at timestamptz NOT NULL
);
CREATE INDEX idx_grant_fences_expires_at ON grant_fences (expires_at);

CREATE TABLE audit_events (
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
