-- name: InsertAuditEvent :many
-- One event in one statement; no row means that the id is already there. The parameters are those of CopyAuditEvents,
-- in the same order.
WITH fresh AS (
    INSERT INTO audit_event_ids (event_id, event_date)
    VALUES ($1, $2)
    ON CONFLICT DO NOTHING
    RETURNING event_id
)
INSERT INTO audit_events (
    event_id, event_date, event_version, event_timestamp, event_type, event_category, event_action, event_outcome,
    actor_type, actor_id, resource_type, resource_id, correlation_id, parent_event_id, parent_event_date,
    namespace, cluster_name, event_data, event_metadata, severity, duration_ms)
SELECT fresh.event_id, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21
FROM fresh
ON CONFLICT DO NOTHING
RETURNING event_id;

-- name: ClaimEventIDs :many
-- The ids that were not there yet. In order of id, so that two batches never wait for each other in a circle.
INSERT INTO audit_event_ids (event_id, event_date)
SELECT t.event_id, t.event_date
FROM (SELECT unnest(@event_ids::uuid[]) AS event_id, unnest(@event_dates::date[]) AS event_date) AS t
ORDER BY t.event_id
ON CONFLICT DO NOTHING
RETURNING event_id;

-- name: CopyAuditEvents :copyfrom
INSERT INTO audit_events (
    event_id, event_date, event_version, event_timestamp, event_type, event_category, event_action, event_outcome,
    actor_type, actor_id, resource_type, resource_id, correlation_id, parent_event_id, parent_event_date,
    namespace, cluster_name, event_data, event_metadata, severity, duration_ms)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21);

-- name: EventDays :many
-- Where the given events are stored, to check and to date a parent.
SELECT event_id, event_date FROM audit_events WHERE event_id = ANY (@event_ids::uuid[]);

-- name: CompareAuditEvents :batchmany
-- The stored time of each event, and whether what is stored is what was sent again; all in one round trip.
SELECT event_timestamp, (
    event_version = @event_version AND event_timestamp = @event_timestamp AND event_type = @event_type
    AND event_category = @event_category AND event_action = @event_action AND event_outcome = @event_outcome
    AND actor_type = @actor_type AND actor_id = @actor_id
    AND resource_type = @resource_type AND resource_id = @resource_id AND correlation_id = @correlation_id
    AND parent_event_id IS NOT DISTINCT FROM sqlc.narg('parent_event_id')
    AND namespace IS NOT DISTINCT FROM sqlc.narg('namespace')
    AND cluster_name IS NOT DISTINCT FROM sqlc.narg('cluster_name')
    AND event_data = @event_data
    AND severity IS NOT DISTINCT FROM sqlc.narg('severity')
    AND duration_ms IS NOT DISTINCT FROM sqlc.narg('duration_ms'))::boolean AS same
FROM audit_events
WHERE event_id = @event_id
LIMIT 1;

-- name: QueryAuditEvents :many
SELECT event_id, event_date, event_version, event_timestamp, event_type, event_category, event_action, event_outcome,
    actor_type, actor_id, resource_type, resource_id, correlation_id, parent_event_id, namespace, cluster_name,
    event_data, severity, duration_ms
FROM audit_events
WHERE (sqlc.narg('event_type')::text IS NULL OR event_type = sqlc.narg('event_type'))
    AND (sqlc.narg('event_category')::text IS NULL OR event_category = sqlc.narg('event_category'))
    AND (sqlc.narg('event_outcome')::text IS NULL OR event_outcome = sqlc.narg('event_outcome'))
    AND (sqlc.narg('severity')::text IS NULL OR severity = sqlc.narg('severity'))
    AND (sqlc.narg('correlation_id')::text IS NULL OR correlation_id = sqlc.narg('correlation_id'))
    AND (sqlc.narg('since')::timestamptz IS NULL OR event_timestamp >= sqlc.narg('since'))
    AND (sqlc.narg('since_date')::date IS NULL OR event_date >= sqlc.narg('since_date'))
    AND (sqlc.narg('until')::timestamptz IS NULL OR event_timestamp <= sqlc.narg('until'))
    AND (sqlc.narg('until_date')::date IS NULL OR event_date <= sqlc.narg('until_date'))
    AND (sqlc.narg('after_time')::timestamptz IS NULL
        OR (event_timestamp, event_id) < (sqlc.narg('after_time')::timestamptz, sqlc.narg('after_id')::uuid))
ORDER BY event_timestamp DESC, event_id DESC
LIMIT @row_limit OFFSET @row_offset;

-- name: CountAuditEvents :one
-- Counts at most count_limit rows, because counting millions takes longer than anybody waits.
SELECT count(*) FROM (
    SELECT 1
    FROM audit_events
    WHERE (sqlc.narg('event_type')::text IS NULL OR event_type = sqlc.narg('event_type'))
        AND (sqlc.narg('event_category')::text IS NULL OR event_category = sqlc.narg('event_category'))
        AND (sqlc.narg('event_outcome')::text IS NULL OR event_outcome = sqlc.narg('event_outcome'))
        AND (sqlc.narg('severity')::text IS NULL OR severity = sqlc.narg('severity'))
        AND (sqlc.narg('correlation_id')::text IS NULL OR correlation_id = sqlc.narg('correlation_id'))
        AND (sqlc.narg('since')::timestamptz IS NULL OR event_timestamp >= sqlc.narg('since'))
        AND (sqlc.narg('since_date')::date IS NULL OR event_date >= sqlc.narg('since_date'))
        AND (sqlc.narg('until')::timestamptz IS NULL OR event_timestamp <= sqlc.narg('until'))
        AND (sqlc.narg('until_date')::date IS NULL OR event_date <= sqlc.narg('until_date'))
    LIMIT @count_limit) AS matches;
