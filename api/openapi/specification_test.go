package openapi_test

// The specification of Data Storage, section 2, written down once more: names, types, required flags (!), bounds, enums,
// defaults (=) and what may be null (?). C2: the contract says the same, and nothing else.
var specSchemas = map[string]string{
	"EventCategory": `string gateway|notification|analysis|signalprocessing|workflow|execution|orchestration`,
	"EventOutcome":  `string success|failure|pending`,
	"AuditEventRequest": `
		version!         string 1..20
		event_type!      string 1..100
		event_timestamp! string date-time
		event_category!  EventCategory
		event_action!    string 1..50
		event_outcome!   EventOutcome
		correlation_id!  string 1..255
		event_data!      any
		event_id         string uuid
		actor_type       string ..50
		actor_id         string ..255
		resource_type    string ..100
		resource_id      string ..255
		parent_event_id  string uuid ?
		namespace        string ..253 ?
		cluster_name     string ..255 ?
		severity         string ..20 ?
		duration_ms      integer 0..2147483647 ?`,
	"AuditEvent": `
		version!         string 1..20
		event_type!      string 1..100
		event_timestamp! string date-time
		event_category!  EventCategory
		event_action!    string 1..50
		event_outcome!   EventOutcome
		correlation_id!  string 1..255
		event_data!      any
		event_id!        string uuid
		event_date       string date ?
		actor_type       string ..50
		actor_id         string ..255
		resource_type    string ..100
		resource_id      string ..255
		parent_event_id  string uuid ?
		namespace        string ..253 ?
		cluster_name     string ..255 ?
		severity         string ..20 ?
		duration_ms      integer 0..2147483647 ?`,
	"AuditEventResponse": `
		event_id!        string uuid
		event_timestamp! string date-time
		message!         string`,
	"AuditEventAccepted": `
		event_id!        string uuid
		event_timestamp! string date-time
		message!         string
		status           string`,
	"BatchAuditEventResponse": `
		event_ids! [string uuid]
		message!   string`,
	"BatchAuditEventAccepted": `
		event_ids! [string uuid]
		message!   string
		status     string`,
	"AuditEventsQueryResponse": `
		data!       [AuditEvent]
		pagination! Pagination`,
	"Pagination": `
		limit!               integer
		offset!              integer
		total                integer
		total_is_lower_bound boolean
		has_more!            boolean
		next_cursor          string`,
	"WorkflowStatus": `string active|disabled|deprecated|archived`,
	"MandatoryLabels": `
		signal_type! string 1..100
		severity!    string critical|high|medium|low
		component!   string 1..100
		environment! string 1..100
		priority!    string P0|P1|P2|P3|*`,
	"CustomLabels": `{[string 1..100] ..5} ..10`,
	"DetectedLabels": `
		gitOpsManaged     boolean
		gitOpsTool        string argocd|flux|*
		pdbProtected      boolean
		hpaEnabled        boolean
		stateful          boolean
		helmManaged       boolean
		networkIsolated   boolean
		serviceMesh       string istio|linkerd|*
		failed_detections [string gitOpsManaged|pdbProtected|hpaEnabled|stateful|helmManaged|networkIsolated|serviceMesh]`,
	"RemediationWorkflow": `
		workflow_id               string uuid
		workflow_name!            string 1..255
		version!                  string 1..50
		name!                     string 1..255
		description!              string 1..10000
		owner                     string ..255
		maintainer                string email ..255
		content!                  string 1..
		content_hash!             string 64..64
		parameters                {any}
		execution_engine!         string 1..50
		container_image           string ..1024
		container_digest          string ..71
		labels!                   MandatoryLabels
		custom_labels             CustomLabels
		detected_labels           DetectedLabels
		status!                   WorkflowStatus
		disabled_at               string date-time
		disabled_by               string ..255
		disabled_reason           string ..2000
		is_latest_version         boolean
		previous_version          string ..50
		deprecation_notice        string ..10000
		version_notes             string ..10000
		change_summary            string ..10000
		approved_by               string ..255
		approved_at               string date-time
		expected_success_rate     number float 0..1
		expected_duration_seconds integer 0..2147483647
		actual_success_rate       number float 0..1
		total_executions          integer 0..
		successful_executions     integer 0..
		created_at                string date-time
		updated_at                string date-time
		created_by                string ..255
		updated_by                string ..255`,
	"WorkflowListResponse": `
		workflows! [RemediationWorkflow]
		limit!     integer
		offset!    integer
		total!     integer`,
	"WorkflowVersionsResponse": `
		workflow_name! string
		versions!      [RemediationWorkflow]
		total!         integer`,
	"WorkflowBreakdown": `
		workflow_id!      string
		workflow_version! string
		executions!   integer 0..
		success_rate! number double 0..100`,
	"IncidentTypeBreakdown": `
		incident_type! string
		executions!   integer 0..
		success_rate! number double 0..100`,
	"ActionBreakdown": `
		action_type! string
		executions!   integer 0..
		success_rate! number double 0..100`,
	"RateDimensions": `
		incident_type    string
		workflow_id      string
		workflow_version string
		action_type      string`,
	"IncidentTypeSuccessRate": `
		incident_type!         string
		time_range!            string
		total_executions!      integer 0..
		successful_executions! integer 0..
		failed_executions!     integer 0..
		success_rate!          number double 0..100
		confidence!            string high|medium|low|insufficient_data
		min_samples_met!       boolean
		breakdown_by_workflow! [WorkflowBreakdown]`,
	"WorkflowSuccessRate": `
		workflow_id!                string
		workflow_version            string
		time_range!            string
		total_executions!      integer 0..
		successful_executions! integer 0..
		failed_executions!     integer 0..
		success_rate!          number double 0..100
		confidence!            string high|medium|low|insufficient_data
		min_samples_met!       boolean
		breakdown_by_incident_type! [IncidentTypeBreakdown]`,
	"DimensionsSuccessRate": `
		dimensions!                RateDimensions
		time_range!            string
		total_executions!      integer 0..
		successful_executions! integer 0..
		failed_executions!     integer 0..
		success_rate!          number double 0..100
		confidence!            string high|medium|low|insufficient_data
		min_samples_met!       boolean
		breakdown_by_workflow      [WorkflowBreakdown]
		breakdown_by_incident_type [IncidentTypeBreakdown]
		breakdown_by_action        [ActionBreakdown]`,
	"WorkflowUpdateRequest": `
		*               any
		status          WorkflowStatus
		disabled_by     string ..255
		disabled_reason string ..2000`,
	"WorkflowDisableRequest": `
		reason     string ..2000
		updated_by string ..255`,
	"WorkflowSearchFilters": `
		signal_type!    string 1..100
		severity!       string critical|high|medium|low
		component!      string 1..100
		environment!    string 1..100
		priority!       string P0|P1|P2|P3
		custom_labels   CustomLabels
		detected_labels DetectedLabels
		status          [WorkflowStatus]`,
	"WorkflowSearchRequest": `
		filters!         WorkflowSearchFilters
		remediation_id   string ..255
		top_k            integer 1..100 =10
		min_score        number float 0..1 =0
		include_disabled boolean =false`,
	"WorkflowSearchResult": `
		workflow_id!     string uuid
		title!           string
		description!     string
		signal_type!     string
		container_image  string
		container_digest string
		confidence!      number float 0..1
		final_score!     number float 0..1
		label_boost      number float 0..0.39
		label_penalty    number float 0..0.2
		rank!            integer 1..
		custom_labels    CustomLabels
		detected_labels  DetectedLabels`,
	"WorkflowSearchResponse": `
		workflows!     [WorkflowSearchResult]
		total_results! integer
		filters!       WorkflowSearchFilters`,
	"Healthy": `
		status!   string healthy
		database! string connected
		dlq!      string connected|unreachable|off`,
	"Unhealthy": `
		status!   string unhealthy
		database! string unreachable|schema_outdated
		error!    string`,
	"Ready": `
		status! string ready
		mode!   string normal|degraded`,
	"NotReady": `
		status! string not_ready
		reason! string starting|shutting_down|no_durable_store|schema_outdated`,
	"Alive": `status! string alive`,
	"Problem": `
		type!           string uri
		title!          string
		status!         integer int32
		detail          string
		instance        string uri
		field_errors    {string}
		request_id      string
		invalid_indexes [integer]`,
}

// specOperations hold method, path, parameters (where they stand, and their schema), body, the answer to success, and the
// problems. An ! is at what must be there. 401 and 403 are of every row of the data.
var specOperations = map[string]string{
	"createAuditEvent": `POST /api/v1/audit/events
		body AuditEventRequest !
		201 AuditEventResponse
		202 AuditEventAccepted
		400 401 403 413 415 500 503`,
	"createAuditEventsBatch": `POST /api/v1/audit/events/batch
		body [AuditEventRequest] 1..1000 !
		201 BatchAuditEventResponse
		202 BatchAuditEventAccepted
		400 401 403 413 415 500 503`,
	"queryAuditEvents": `GET /api/v1/audit/events
		query correlation_id string
		query cursor string
		query event_category string
		query event_outcome EventOutcome
		query event_type string
		query include_total boolean
		query limit integer 1..1000 =50
		query offset integer 0..100000 =0
		query severity string
		query since string
		query until string
		200 AuditEventsQueryResponse X-Audit-Pending
		400 401 403 429 500 503`,
	"createWorkflow": `POST /api/v1/workflows
		body RemediationWorkflow !
		201 RemediationWorkflow ETag Location
		400 401 403 409 413 415 500 503`,
	"listWorkflows": `GET /api/v1/workflows
		query component string
		query environment string
		query limit integer 1..1000 =100
		query offset integer 0..100000 =0
		query priority string
		query status WorkflowStatus
		200 WorkflowListResponse
		400 401 403 429 500 503`,
	"getWorkflowByID": `GET /api/v1/workflows/{workflow_id}
		path workflow_id! string uuid
		200 RemediationWorkflow ETag
		400 401 403 404 429 500 503`,
	"updateWorkflow": `PATCH /api/v1/workflows/{workflow_id}
		header If-Match string
		path workflow_id! string uuid
		body WorkflowUpdateRequest !
		200 RemediationWorkflow ETag
		400 401 403 404 412 413 415 428 500 503`,
	"disableWorkflow": `PATCH /api/v1/workflows/{workflow_id}/disable
		header If-Match string
		path workflow_id! string uuid
		body WorkflowDisableRequest
		200 RemediationWorkflow ETag
		400 401 403 404 412 413 415 428 500 503`,
	"listWorkflowVersions": `GET /api/v1/workflows/by-name/{workflow_name}/versions
		path workflow_name! string
		200 WorkflowVersionsResponse
		400 401 403 429 500 503`,
	"successRateByIncidentType": `GET /api/v1/success-rate/incident-type
		query incident_type! string 1..255
		query min_samples integer 1..1000000 =5
		query time_range string =7d
		200 IncidentTypeSuccessRate
		400 401 403 429 500 503`,
	"successRateByWorkflow": `GET /api/v1/success-rate/workflow
		query min_samples integer 1..1000000 =5
		query time_range string =7d
		query workflow_id! string 1..255
		query workflow_version string 1..255
		200 WorkflowSuccessRate
		400 401 403 429 500 503`,
	"successRateByDimensions": `GET /api/v1/success-rate/multi-dimensional
		query action_type string 1..255
		query incident_type string 1..255
		query min_samples integer 1..1000000 =5
		query time_range string =7d
		query workflow_id string 1..255
		query workflow_version string 1..255
		200 DimensionsSuccessRate
		400 401 403 429 500 503`,
	"searchWorkflows": `POST /api/v1/workflows/search
		body WorkflowSearchRequest !
		200 WorkflowSearchResponse
		400 401 403 413 415 429 500 503`,
	"healthCheck":    "GET /health\n200 Healthy\n503 Unhealthy",
	"readinessCheck": "GET /health/ready\n200 Ready\n503 NotReady",
	"livenessCheck":  "GET /health/live\n200 Alive",
	"getMetrics":     "GET /metrics\n200 string",
}
