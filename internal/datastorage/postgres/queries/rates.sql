-- name: CountExecutions :many
-- Executions are events of two categories that say for what and with which workflow something was done. The time and the
-- category are found by index; what the data says is read from those rows. Each row also has the sums of all groups, those
-- beyond the limit too.
SELECT (event_data ->> 'incident_type')::text AS incident_type, (event_data ->> 'workflow_id')::text AS workflow_id,
    coalesce(event_data ->> 'workflow_version', '')::text AS workflow_version,
    coalesce(event_data ->> 'action_type', '')::text AS action_type,
    count(*) AS total, count(*) FILTER (WHERE event_outcome = 'success') AS successful,
    sum(count(*)) OVER ()::bigint AS all_total, sum(count(*) FILTER (WHERE event_outcome = 'success')) OVER ()::bigint AS all_successful
FROM audit_events
WHERE event_category IN ('workflow', 'execution')
    AND event_outcome IN ('success', 'failure')
    AND event_timestamp >= @since::timestamptz
    AND event_date >= @since_date::date
    AND event_data ->> 'incident_type' IS NOT NULL
    AND event_data ->> 'workflow_id' IS NOT NULL
    AND (sqlc.narg('incident_type')::text IS NULL OR event_data ->> 'incident_type' = sqlc.narg('incident_type'))
    AND (sqlc.narg('workflow_id')::text IS NULL OR event_data ->> 'workflow_id' = sqlc.narg('workflow_id'))
    AND (sqlc.narg('workflow_version')::text IS NULL OR event_data ->> 'workflow_version' = sqlc.narg('workflow_version'))
    AND (sqlc.narg('action_type')::text IS NULL OR event_data ->> 'action_type' = sqlc.narg('action_type'))
GROUP BY 1, 2, 3, 4
ORDER BY total DESC, 1, 2, 3, 4
LIMIT @group_limit::int;
