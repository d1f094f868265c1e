-- +goose Up
-- Background work of several processes is serial by a lease: one conditional upsert
-- takes or renews it, and fence grows with each new owner.
CREATE TABLE leases (
    name     text        NOT NULL PRIMARY KEY CHECK (length(name) BETWEEN 1 AND 64),
    owner    text        NOT NULL CHECK (length(owner) BETWEEN 1 AND 64),
    until_at timestamptz NOT NULL,
    fence    bigint      NOT NULL
);

-- What an identity provider vouches for, linked to an account.
CREATE TABLE account_identities (
    id            text NOT NULL PRIMARY KEY CHECK (length(id) = 36),
    account_id    text NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    issuer        text NOT NULL CHECK (length(issuer) BETWEEN 1 AND 255),
    subject_id    text NOT NULL CHECK (length(subject_id) BETWEEN 1 AND 255),
    connection_id text CHECK (length(connection_id) <= 40),
    email         text CHECK (length(email) BETWEEN 3 AND 254),
    linked_at     timestamptz NOT NULL,
    linked_by     text NOT NULL,
    last_login_at timestamptz
);
CREATE UNIQUE INDEX uq_account_identities_subject ON account_identities (issuer, subject_id);
CREATE INDEX idx_account_identities_account ON account_identities (account_id);

-- A connection that ends takes its tokens along; browser sessions are pruned by their end.
CREATE INDEX idx_oauth_connection ON oauth_access_tokens (connection_id) WHERE revoked_at IS NULL AND connection_id IS NOT NULL;
CREATE INDEX idx_console_sessions_expires_at ON console_sessions (expires_at);

-- Every identity read asks for one person's memberships.
CREATE INDEX idx_memberships_account ON memberships (account_id);

-- +goose Down
DROP INDEX idx_memberships_account;
DROP INDEX idx_console_sessions_expires_at;
DROP INDEX idx_oauth_connection;
DROP TABLE account_identities;
DROP TABLE leases;
