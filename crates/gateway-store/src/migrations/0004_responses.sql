CREATE TABLE gateway_responses (
    id TEXT PRIMARY KEY,
    owner TEXT NOT NULL,
    previous_id TEXT,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    renewed_at BIGINT,
    bytes BIGINT NOT NULL,
    input TEXT NOT NULL,
    response TEXT NOT NULL
);

CREATE INDEX gateway_responses_expires ON gateway_responses (expires_at);

CREATE INDEX gateway_responses_created ON gateway_responses (created_at, id, bytes)
