-- +goose Up
-- Apps of a workspace. What they do is done by their runtime; its key is sealed.
CREATE TABLE apps (
    id                 TEXT        NOT NULL PRIMARY KEY CHECK (length(id) = 36),
    workspace_id       TEXT        NOT NULL REFERENCES workspaces (id) ON DELETE CASCADE,
    name               TEXT        NOT NULL CHECK (length(name) BETWEEN 1 AND 255),
    name_folded        TEXT        NOT NULL,
    description        TEXT        NOT NULL CHECK (length(description) <= 4000),
    mode               TEXT        NOT NULL CHECK (mode IN ('chat', 'agent-chat', 'advanced-chat', 'completion', 'workflow', 'agent', 'channel', 'rag-pipeline')),
    tags               TEXT        NOT NULL,
    author             TEXT        NOT NULL CHECK (length(author) <= 255),
    runtime            TEXT        NOT NULL CHECK (runtime IN ('dify', 'echo')),
    runtime_url        TEXT        NOT NULL CHECK (length(runtime_url) <= 2048),
    runtime_key_sealed TEXT,
    runtime_config     TEXT,
    runtime_features   TEXT        NOT NULL,
    api_enabled        INTEGER     NOT NULL CHECK (api_enabled IN (0, 1)),
    access_mode        TEXT        NOT NULL,
    max_active         INTEGER     NOT NULL CHECK (max_active >= 0),
    status             TEXT        NOT NULL CHECK (status IN ('normal', 'archived')),
    created_by         TEXT        REFERENCES accounts (id) ON DELETE SET NULL,
    created_at         INTEGER     NOT NULL,
    updated_at         INTEGER     NOT NULL
) STRICT;
CREATE INDEX idx_apps_workspace ON apps (workspace_id, updated_at DESC, id);
CREATE INDEX idx_apps_updated ON apps (updated_at DESC, id);
CREATE INDEX idx_apps_external ON apps (updated_at DESC, id) WHERE access_mode IN ('public', 'sso_verified');
CREATE INDEX idx_apps_creator ON apps (created_by) WHERE created_by IS NOT NULL;

-- Who may use an app whose access mode is internal.
CREATE TABLE app_access (
    app_id     TEXT        NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    account_id TEXT        NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    granted_by TEXT,
    created_at INTEGER     NOT NULL,
    PRIMARY KEY (app_id, account_id)
) STRICT;
CREATE INDEX idx_app_access_account ON app_access (account_id);

-- What was run, from the first event that named a task: whose tasks can be stopped, and
-- whose runs can be followed again.
CREATE TABLE app_runs (
    id              TEXT        NOT NULL PRIMARY KEY CHECK (length(id) = 36),
    app_id          TEXT        NOT NULL,
    workspace_id    TEXT        NOT NULL,
    subject_key     TEXT        NOT NULL CHECK (length(subject_key) = 64),
    token_id        TEXT        NOT NULL,
    mode            TEXT        NOT NULL,
    task_id         TEXT        CHECK (length(task_id) <= 128),
    workflow_run_id TEXT        CHECK (length(workflow_run_id) <= 128),
    status          TEXT        NOT NULL,
    started_at      INTEGER     NOT NULL,
    finished_at     INTEGER
) STRICT;
CREATE UNIQUE INDEX uq_app_runs_task ON app_runs (app_id, task_id);
CREATE INDEX idx_app_runs_workflow ON app_runs (app_id, workflow_run_id);
CREATE INDEX idx_app_runs_started ON app_runs (started_at);
-- Few at a time: those whose end nobody has written down yet.
CREATE INDEX idx_app_runs_running ON app_runs (started_at) WHERE status = 'running';

-- +goose Down
DROP TABLE app_runs;
DROP TABLE app_access;
DROP TABLE apps;
