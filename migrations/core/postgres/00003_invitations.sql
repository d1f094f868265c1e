-- +goose Up
-- An open invitation is the one of a person to a workspace; a new one takes its place.
CREATE TABLE invitations (
    id           text        NOT NULL PRIMARY KEY CHECK (length(id) = 36),
    workspace_id text        NOT NULL REFERENCES workspaces (id) ON DELETE CASCADE,
    account_id   text        NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    email        text        NOT NULL CHECK (length(email) BETWEEN 3 AND 254),
    role         text        NOT NULL CHECK (role IN ('admin', 'editor', 'normal')),
    token_hash   bytea       NOT NULL CHECK (length(token_hash) = 32),
    invited_by   text        NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    expires_at   timestamptz NOT NULL,
    accepted_at  timestamptz,
    created_at   timestamptz NOT NULL
);
CREATE UNIQUE INDEX uq_invitations_token ON invitations (token_hash);
CREATE UNIQUE INDEX uq_invitations_open ON invitations (workspace_id, account_id) WHERE accepted_at IS NULL;

-- A pending account that is removed takes along what refers to it; without these each
-- such table is read whole for it.
CREATE INDEX idx_oauth_account_all ON oauth_access_tokens (account_id) WHERE account_id IS NOT NULL;
CREATE INDEX idx_invitations_account ON invitations (account_id);
CREATE INDEX idx_invitations_inviter ON invitations (invited_by);
CREATE INDEX idx_memberships_inviter ON memberships (invited_by) WHERE invited_by IS NOT NULL;

-- The list of a workspace's members is in the order of their joining.
CREATE INDEX idx_memberships_joined ON memberships (workspace_id, created_at, account_id);

-- +goose Down
DROP INDEX idx_memberships_joined;
DROP INDEX idx_memberships_inviter;
DROP INDEX idx_oauth_account_all;
DROP TABLE invitations;
