-- +goose Up
-- Apps of a workspace. What they do is done by their runtime; its key is sealed.
CREATE TABLE apps (
    id                 text        NOT NULL PRIMARY KEY CHECK (length(id) = 36),
    workspace_id       text        NOT NULL REFERENCES workspaces (id) ON DELETE CASCADE,
    name               text        NOT NULL CHECK (length(name) BETWEEN 1 AND 255),
    name_folded        text        NOT NULL,
    description        text        NOT NULL CHECK (length(description) <= 4000),
    mode               text        NOT NULL CHECK (mode IN ('chat', 'agent-chat', 'advanced-chat', 'completion', 'workflow', 'agent', 'channel', 'rag-pipeline')),
    tags               text        NOT NULL,
    author             text        NOT NULL CHECK (length(author) <= 255),
    runtime            text        NOT NULL CHECK (runtime IN ('dify', 'echo')),
    runtime_url        text        NOT NULL CHECK (length(runtime_url) <= 2048),
    runtime_key_sealed text,
    runtime_config     text,
    runtime_features   text        NOT NULL,
    api_enabled        boolean     NOT NULL,
    access_mode        text        NOT NULL,
    max_active         integer     NOT NULL CHECK (max_active >= 0),
    status             text        NOT NULL CHECK (status IN ('normal', 'archived')),
    created_by         text        REFERENCES accounts (id) ON DELETE SET NULL,
    created_at         timestamptz NOT NULL,
    updated_at         timestamptz NOT NULL
);
CREATE INDEX idx_apps_workspace ON apps (workspace_id, updated_at DESC, id);
CREATE INDEX idx_apps_updated ON apps (updated_at DESC, id);
CREATE INDEX idx_apps_external ON apps (updated_at DESC, id) WHERE access_mode IN ('public', 'sso_verified');
CREATE INDEX idx_apps_creator ON apps (created_by) WHERE created_by IS NOT NULL;

-- Who may use an app whose access mode is internal.
CREATE TABLE app_access (
    app_id     text        NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    account_id text        NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    granted_by text,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (app_id, account_id)
);
CREATE INDEX idx_app_access_account ON app_access (account_id);

-- What was run, from the first event that named a task: whose tasks can be stopped, and
-- whose runs can be followed again.
CREATE TABLE app_runs (
    id              text        NOT NULL PRIMARY KEY CHECK (length(id) = 36),
    app_id          text        NOT NULL,
    workspace_id    text        NOT NULL,
    subject_key     text        NOT NULL CHECK (length(subject_key) = 64),
    token_id        text        NOT NULL,
    mode            text        NOT NULL,
    task_id         text        CHECK (length(task_id) <= 128),
    workflow_run_id text        CHECK (length(workflow_run_id) <= 128),
    status          text        NOT NULL,
    started_at      timestamptz NOT NULL,
    finished_at     timestamptz
);
CREATE UNIQUE INDEX uq_app_runs_task ON app_runs (app_id, task_id);
CREATE INDEX idx_app_runs_workflow ON app_runs (app_id, workflow_run_id);
CREATE INDEX idx_app_runs_started ON app_runs (started_at);
-- Few at a time: those whose end nobody has written down yet.
CREATE INDEX idx_app_runs_running ON app_runs (started_at) WHERE status = 'running';

-- +goose Down
DROP TABLE app_runs;
DROP TABLE app_access;
DROP TABLE apps;
