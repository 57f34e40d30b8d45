ALTER TABLE gateway_usage ADD COLUMN has_price BIGINT NOT NULL DEFAULT 1;

ALTER TABLE gateway_budgets ADD COLUMN soft_spend BIGINT;

CREATE INDEX gateway_budgets_soft ON gateway_budgets (id) WHERE soft_spend IS NOT NULL
