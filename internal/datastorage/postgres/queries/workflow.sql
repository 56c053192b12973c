-- name: LockWorkflowName :exec
-- Until the end of the transaction nobody else adds a version of this name.
SELECT pg_advisory_xact_lock(hashtextextended(@workflow_name::text, 7));

-- name: LatestWorkflowVersion :many
SELECT version FROM remediation_workflow_catalog WHERE workflow_name = @workflow_name AND is_latest_version;

-- name: DemoteLatestWorkflow :exec
UPDATE remediation_workflow_catalog
SET is_latest_version = false, updated_at = clock_timestamp(), row_version = row_version + 1
WHERE workflow_name = @workflow_name AND is_latest_version;

-- name: InsertWorkflow :one
-- The clock, not the start of the transaction: versions seeded in one transaction keep their order.
INSERT INTO remediation_workflow_catalog (
    workflow_id, workflow_name, version, name, description, owner, maintainer, content, content_hash, execution_engine,
    parameters, container_image, container_digest, labels, custom_labels, detected_labels, status, is_latest_version,
    disabled_at, previous_version, deprecation_notice, version_notes, change_summary, approved_by, approved_at,
    expected_success_rate, expected_duration_seconds, created_by, created_at, updated_at)
SELECT @workflow_id, @workflow_name, @version, @name, @description, sqlc.narg('owner'), sqlc.narg('maintainer'),
    @content, @content_hash, @execution_engine, sqlc.narg('parameters'), sqlc.narg('container_image'),
    sqlc.narg('container_digest'), @labels, @custom_labels, @detected_labels, @status, true,
    CASE WHEN @created_disabled::boolean THEN t.now END, sqlc.narg('previous_version'),
    sqlc.narg('deprecation_notice'), sqlc.narg('version_notes'), sqlc.narg('change_summary'), sqlc.narg('approved_by'),
    sqlc.narg('approved_at'), sqlc.narg('expected_success_rate'), sqlc.narg('expected_duration_seconds'),
    sqlc.narg('created_by'), t.now, t.now
FROM (SELECT clock_timestamp() AS now) AS t
RETURNING *;

-- name: GetWorkflow :one
SELECT * FROM remediation_workflow_catalog WHERE workflow_id = @workflow_id;

-- name: ListWorkflows :many
SELECT * FROM remediation_workflow_catalog
WHERE (sqlc.narg('status')::text IS NULL OR status = sqlc.narg('status'))
    AND (sqlc.narg('environment')::text IS NULL OR l_environment = sqlc.narg('environment'))
    AND (sqlc.narg('priority')::text IS NULL OR l_priority = sqlc.narg('priority'))
    AND (sqlc.narg('component')::text IS NULL OR l_component = sqlc.narg('component'))
ORDER BY created_at DESC, workflow_id
LIMIT @row_limit OFFSET @row_offset;

-- name: CountWorkflows :one
SELECT count(*) FROM remediation_workflow_catalog
WHERE (sqlc.narg('status')::text IS NULL OR status = sqlc.narg('status'))
    AND (sqlc.narg('environment')::text IS NULL OR l_environment = sqlc.narg('environment'))
    AND (sqlc.narg('priority')::text IS NULL OR l_priority = sqlc.narg('priority'))
    AND (sqlc.narg('component')::text IS NULL OR l_component = sqlc.narg('component'));

-- name: SearchCandidates :many
-- The hard filters of a search, without content. A wildcard stands for any value on either side of component and
-- environment; a priority is never asked for as a wildcard.
SELECT workflow_id, name, description, container_image, container_digest, labels, custom_labels, detected_labels,
    created_at
FROM remediation_workflow_catalog
WHERE is_latest_version
    AND l_signal_type = @signal_type::text
    AND l_severity = @severity::text
    AND status = ANY (@statuses::text[])
    AND (l_component = @component::text OR l_component = '*' OR @component::text = '*')
    AND (l_environment = @environment::text OR l_environment = '*' OR @environment::text = '*')
    AND (l_priority = @priority::text OR l_priority = '*')
ORDER BY created_at DESC, workflow_id
LIMIT @row_limit;

-- name: LockWorkflow :one
SELECT * FROM remediation_workflow_catalog WHERE workflow_id = @workflow_id FOR UPDATE;

-- name: UpdateWorkflow :one
UPDATE remediation_workflow_catalog
SET status = @status, disabled_at = sqlc.narg('disabled_at'), disabled_by = sqlc.narg('disabled_by'),
    disabled_reason = sqlc.narg('disabled_reason'), updated_by = sqlc.narg('updated_by'),
    updated_at = clock_timestamp(), row_version = row_version + 1
WHERE workflow_id = @workflow_id
RETURNING *;

-- name: ListWorkflowVersions :many
SELECT * FROM remediation_workflow_catalog
WHERE workflow_name = @workflow_name
ORDER BY created_at DESC, workflow_id
LIMIT @row_limit;

-- name: CountWorkflowVersions :one
SELECT count(*) FROM remediation_workflow_catalog WHERE workflow_name = @workflow_name;
