-- +goose Up
-- The catalog of remediation workflows: a version is never changed, only its state.

CREATE TABLE remediation_workflow_catalog (
    workflow_id               uuid         PRIMARY KEY,
    workflow_name             varchar(255) NOT NULL,
    version                   varchar(50)  NOT NULL,
    name                      varchar(255) NOT NULL,
    description               text         NOT NULL,
    owner                     varchar(255),
    maintainer                varchar(255),
    content                   text         NOT NULL,
    content_hash              varchar(64)  NOT NULL,
    execution_engine          varchar(50)  NOT NULL DEFAULT 'tekton',
    parameters                jsonb,
    container_image           varchar(1024),
    container_digest          varchar(71),
    labels                    jsonb        NOT NULL,
    l_signal_type             text         GENERATED ALWAYS AS (labels ->> 'signal_type') STORED,
    l_severity                text         GENERATED ALWAYS AS (labels ->> 'severity') STORED,
    l_component               text         GENERATED ALWAYS AS (labels ->> 'component') STORED,
    l_environment             text         GENERATED ALWAYS AS (labels ->> 'environment') STORED,
    l_priority                text         GENERATED ALWAYS AS (labels ->> 'priority') STORED,
    custom_labels             jsonb        NOT NULL DEFAULT '{}',
    detected_labels           jsonb        NOT NULL DEFAULT '{}',
    status                    varchar(20)  NOT NULL,
    is_latest_version         boolean      NOT NULL,
    disabled_at               timestamptz,
    disabled_by               varchar(255),
    disabled_reason           text,
    previous_version          varchar(50),
    deprecation_notice        text,
    version_notes             text,
    change_summary            text,
    approved_by               varchar(255),
    approved_at               timestamptz,
    expected_success_rate     double precision,
    actual_success_rate       double precision,
    expected_duration_seconds integer,
    total_executions          integer      NOT NULL DEFAULT 0,
    successful_executions     integer      NOT NULL DEFAULT 0,
    created_at                timestamptz  NOT NULL DEFAULT now(),
    updated_at                timestamptz  NOT NULL DEFAULT now(),
    created_by                varchar(255),
    updated_by                varchar(255),
    row_version               bigint       NOT NULL DEFAULT 1,
    CONSTRAINT remediation_workflow_catalog_name_version UNIQUE (workflow_name, version),
    CONSTRAINT remediation_workflow_catalog_hash_form CHECK (content_hash ~ '^[0-9a-f]{64}$'),
    CONSTRAINT remediation_workflow_catalog_hash CHECK
        (content_hash = encode(sha256(convert_to(content, 'UTF8')), 'hex')),
    CONSTRAINT remediation_workflow_catalog_parameters CHECK (jsonb_typeof(parameters) = 'object'),
    CONSTRAINT remediation_workflow_catalog_labels CHECK (jsonb_typeof(labels) = 'object'
        AND labels ?& ARRAY['signal_type', 'severity', 'component', 'environment', 'priority']),
    CONSTRAINT remediation_workflow_catalog_status CHECK (status IN ('active', 'disabled', 'deprecated', 'archived')),
    CONSTRAINT remediation_workflow_catalog_rates CHECK (expected_success_rate BETWEEN 0 AND 1
        AND actual_success_rate BETWEEN 0 AND 1),
    CONSTRAINT remediation_workflow_catalog_duration CHECK (expected_duration_seconds >= 0),
    CONSTRAINT remediation_workflow_catalog_executions CHECK
        (successful_executions >= 0 AND successful_executions <= total_executions)
);

CREATE INDEX idx_workflow_catalog_search ON remediation_workflow_catalog (l_signal_type, l_severity)
    WHERE is_latest_version;
CREATE UNIQUE INDEX idx_workflow_catalog_one_latest ON remediation_workflow_catalog (workflow_name)
    WHERE is_latest_version;
CREATE INDEX idx_workflow_catalog_versions ON remediation_workflow_catalog (workflow_name, created_at DESC);
CREATE INDEX idx_workflow_catalog_created ON remediation_workflow_catalog (created_at DESC, workflow_id);
CREATE INDEX idx_workflow_catalog_status ON remediation_workflow_catalog (status);

-- The columns named here may change; the generated ones follow labels, which may not.
-- +goose StatementBegin
CREATE FUNCTION workflow_catalog_refuse_change() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    may_change CONSTANT text[] := ARRAY['status', 'is_latest_version', 'disabled_at', 'disabled_by', 'disabled_reason',
        'actual_success_rate', 'total_executions', 'successful_executions', 'updated_at', 'updated_by', 'row_version',
        'l_signal_type', 'l_severity', 'l_component', 'l_environment', 'l_priority'];
BEGIN
    IF TG_OP = 'DELETE' THEN
        RAISE EXCEPTION 'a workflow version is never deleted' USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF to_jsonb(NEW) - may_change IS DISTINCT FROM to_jsonb(OLD) - may_change THEN
        RAISE EXCEPTION 'a workflow version is immutable' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END
$$;
-- +goose StatementEnd

CREATE TRIGGER workflow_catalog_immutable
    BEFORE UPDATE OR DELETE ON remediation_workflow_catalog
    FOR EACH ROW EXECUTE FUNCTION workflow_catalog_refuse_change();
