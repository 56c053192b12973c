-- +goose Up
-- Roles are named by the configuration, so what a role may do is a function of its name. Only the owner may call these.

-- Makes the login role, or gives it this password again. The verifier is a SCRAM verifier, never the password itself.
-- +goose StatementBegin
CREATE FUNCTION datastorage_ensure_app_role(role_name text, verifier text) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    IF verifier !~ '^SCRAM-SHA-256\$' THEN
        RAISE EXCEPTION 'not a SCRAM verifier';
    END IF;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = role_name) THEN
        EXECUTE format('ALTER ROLE %I LOGIN PASSWORD %L', role_name, verifier);
        RETURN false;
    END IF;
    EXECUTE format('CREATE ROLE %I LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD %L', role_name, verifier);
    RETURN true;
END
$$;
-- +goose StatementEnd
REVOKE ALL ON FUNCTION datastorage_ensure_app_role(text, text) FROM PUBLIC;

-- Gives the application role exactly what serving needs: no UPDATE or DELETE on audit data, no DDL, no temporary tables.
-- +goose StatementBegin
CREATE FUNCTION datastorage_grant_app(role_name text) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    EXECUTE format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', current_database());
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), role_name);
    EXECUTE format('GRANT USAGE ON SCHEMA public TO %I', role_name);
    EXECUTE format('GRANT SELECT, INSERT ON public.audit_events, public.audit_event_ids,
        public.remediation_workflow_catalog TO %I', role_name);
    EXECUTE format('GRANT UPDATE (status, is_latest_version, disabled_at, disabled_by, disabled_reason,
        actual_success_rate, total_executions, successful_executions, updated_at, updated_by, row_version)
        ON public.remediation_workflow_catalog TO %I', role_name);
    EXECUTE format('GRANT SELECT ON public.goose_db_version TO %I', role_name);
    EXECUTE format('GRANT EXECUTE ON FUNCTION public.audit_ensure_partitions(integer), public.audit_prune_ids(integer)
        TO %I', role_name);
END
$$;
-- +goose StatementEnd
REVOKE ALL ON FUNCTION datastorage_grant_app(text) FROM PUBLIC;
