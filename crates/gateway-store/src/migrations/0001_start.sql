CREATE TABLE gateway_changes (
    id BIGINT PRIMARY KEY,
    version BIGINT NOT NULL
);

INSERT INTO gateway_changes (id, version) VALUES (1, 0);

CREATE TABLE gateway_keys (
    id TEXT PRIMARY KEY,
    hash TEXT NOT NULL UNIQUE,
    alias TEXT,
    user_id TEXT,
    team_id TEXT,
    version BIGINT NOT NULL,
    deleted BIGINT NOT NULL,
    data TEXT NOT NULL
);

CREATE UNIQUE INDEX gateway_keys_alias ON gateway_keys (alias) WHERE deleted = 0;

CREATE INDEX gateway_keys_version ON gateway_keys (version);

CREATE INDEX gateway_keys_user ON gateway_keys (user_id);

CREATE INDEX gateway_keys_team ON gateway_keys (team_id);

CREATE TABLE gateway_owners (
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    version BIGINT NOT NULL,
    deleted BIGINT NOT NULL,
    data TEXT NOT NULL,
    PRIMARY KEY (kind, id)
);

CREATE INDEX gateway_owners_version ON gateway_owners (version);

CREATE TABLE gateway_budgets (
    id TEXT PRIMARY KEY,
    max_spend BIGINT,
    period BIGINT,
    reset_at BIGINT,
    spent BIGINT NOT NULL
);

CREATE INDEX gateway_budgets_reset ON gateway_budgets (reset_at);

CREATE TABLE gateway_replicas (
    id TEXT PRIMARY KEY,
    expires_at BIGINT NOT NULL
);

CREATE TABLE gateway_leases (
    replica TEXT NOT NULL,
    budget TEXT NOT NULL,
    amount BIGINT NOT NULL,
    PRIMARY KEY (replica, budget)
);

CREATE INDEX gateway_leases_budget ON gateway_leases (budget);

CREATE TABLE gateway_usage (
    request_id TEXT PRIMARY KEY,
    batch TEXT NOT NULL,
    started_at BIGINT NOT NULL,
    duration_ms BIGINT NOT NULL,
    first_token_ms BIGINT,
    endpoint TEXT NOT NULL,
    model_group TEXT NOT NULL,
    model TEXT NOT NULL,
    provider TEXT NOT NULL,
    deployment TEXT NOT NULL,
    key_id TEXT,
    key_alias TEXT,
    user_id TEXT,
    team_id TEXT,
    end_user TEXT,
    session_id TEXT,
    tags TEXT NOT NULL,
    input_tokens BIGINT NOT NULL,
    cached_tokens BIGINT NOT NULL,
    output_tokens BIGINT NOT NULL,
    reasoning_tokens BIGINT NOT NULL,
    predict_ms BIGINT,
    cost BIGINT NOT NULL,
    outcome TEXT NOT NULL,
    is_streamed BIGINT NOT NULL,
    is_estimated BIGINT NOT NULL,
    attempts BIGINT NOT NULL
);

CREATE INDEX gateway_usage_batch ON gateway_usage (batch);

CREATE INDEX gateway_usage_started ON gateway_usage (started_at);

CREATE INDEX gateway_usage_key ON gateway_usage (key_id, started_at)
