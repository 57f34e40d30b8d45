DROP INDEX gateway_usage_batch;

ALTER TABLE gateway_usage DROP COLUMN batch
