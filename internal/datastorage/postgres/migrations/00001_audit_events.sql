-- +goose Up
-- Audit events: append-only, one row per event id, one partition per month of event_date (UTC).

CREATE TABLE audit_events (
    event_id          uuid         NOT NULL,
    event_date        date         NOT NULL,
    event_version     varchar(20)  NOT NULL DEFAULT '1.0',
    event_timestamp   timestamptz  NOT NULL,
    event_type        varchar(100) NOT NULL,
    event_category    varchar(50)  NOT NULL,
    event_action      varchar(50)  NOT NULL,
    event_outcome     varchar(20)  NOT NULL,
    actor_type        varchar(50)  NOT NULL,
    actor_id          varchar(255) NOT NULL,
    resource_type     varchar(100) NOT NULL,
    resource_id       varchar(255) NOT NULL,
    correlation_id    varchar(255) NOT NULL,
    parent_event_id   uuid,
    parent_event_date date,
    namespace         varchar(253),
    cluster_name      varchar(255),
    event_data        jsonb        NOT NULL,
    event_metadata    jsonb,
    severity          varchar(20),
    duration_ms       integer,
    -- Reserved: no writer yet.
    actor_ip          inet,
    resource_name     varchar(255),
    trace_id          varchar(255),
    span_id           varchar(255),
    error_code        varchar(50),
    error_message     text,
    retention_days    integer      NOT NULL DEFAULT 2555,
    is_sensitive      boolean      NOT NULL DEFAULT false,
    recorded_at       timestamptz  NOT NULL DEFAULT now(),
    CONSTRAINT audit_events_pkey PRIMARY KEY (event_id, event_date),
    CONSTRAINT audit_events_date_is_utc_day CHECK (event_date = (event_timestamp AT TIME ZONE 'UTC')::date),
    CONSTRAINT audit_events_category CHECK (event_category IN
        ('gateway', 'notification', 'analysis', 'signalprocessing', 'workflow', 'execution', 'orchestration')),
    CONSTRAINT audit_events_outcome CHECK (event_outcome IN ('success', 'failure', 'pending')),
    CONSTRAINT audit_events_data_is_object CHECK (jsonb_typeof(event_data) = 'object'),
    CONSTRAINT audit_events_duration CHECK (duration_ms >= 0)
) PARTITION BY RANGE (event_date);

CREATE INDEX idx_audit_events_event_timestamp ON audit_events (event_timestamp DESC, event_id DESC);
CREATE INDEX idx_audit_events_correlation_id ON audit_events (correlation_id, event_timestamp DESC, event_id DESC);
CREATE INDEX idx_audit_events_event_type ON audit_events (event_type, event_timestamp DESC, event_id DESC);
CREATE INDEX idx_audit_events_event_category ON audit_events (event_category, event_timestamp DESC, event_id DESC);
CREATE INDEX idx_audit_events_outcome ON audit_events (event_outcome, event_timestamp DESC, event_id DESC)
    WHERE event_outcome <> 'success';
CREATE INDEX idx_audit_events_severity ON audit_events (severity, event_timestamp DESC, event_id DESC)
    WHERE severity <> 'info';

-- One row per id, because a partitioned table cannot be unique on event_id alone.
CREATE TABLE audit_event_ids (
    event_id   uuid PRIMARY KEY,
    event_date date NOT NULL
);

-- +goose StatementBegin
CREATE FUNCTION audit_refuse_change() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    RAISE EXCEPTION 'audit events are append-only: % on % is refused', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege';
END
$$;
-- +goose StatementEnd

CREATE TRIGGER audit_events_append_only
    BEFORE UPDATE OR DELETE ON audit_events
    FOR EACH ROW EXECUTE FUNCTION audit_refuse_change();
CREATE TRIGGER audit_events_no_truncate
    BEFORE TRUNCATE ON audit_events
    FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse_change();

-- An insert never fails for lack of a month: such rows land here.
CREATE TABLE audit_events_default PARTITION OF audit_events DEFAULT;
CREATE TRIGGER audit_events_no_truncate
    BEFORE TRUNCATE ON audit_events_default
    FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse_change();

-- Makes the partitions of the month before the given day up to the given number of months after it. It returns how many it
-- made, how many months after this one have a partition without a gap (-1: not even this one), and how many rows are in the
-- default partition: the application may look at that in no other way. A month that cannot be attached, because the default
-- partition holds rows of it, is left out with a warning. The table is filled with constraints first and attached then, so
-- that inserts are not blocked meanwhile.
-- +goose StatementBegin
CREATE FUNCTION audit_ensure_partitions_at(today date, months integer)
    RETURNS TABLE (made integer, months_ahead integer, default_rows bigint)
    LANGUAGE plpgsql
    SET search_path = pg_catalog, public, pg_temp
    SET lock_timeout = '2s'
AS $$
DECLARE
    this_month date := date_trunc('month', today)::date;
    last_month integer := months;
    first_day  date;
    next_first date;
    part       text;
BEGIN
    IF months < 0 OR months > 24 THEN
        RAISE EXCEPTION 'months must be between 0 and 24 (got %)', months;
    END IF;
    made := 0;
    IF NOT pg_try_advisory_xact_lock(hashtextextended('audit_ensure_partitions', 0)) THEN
        last_month := -2; -- somebody else makes them at this moment
    END IF;
    FOR i IN -1..last_month LOOP
        first_day := (this_month + make_interval(months => i))::date;
        next_first := (this_month + make_interval(months => i + 1))::date;
        part := 'audit_events_' || to_char(first_day, 'YYYY_MM');
        CONTINUE WHEN to_regclass('public.' || part) IS NOT NULL;
        BEGIN
            EXECUTE format('CREATE TABLE public.%I (LIKE public.audit_events INCLUDING DEFAULTS INCLUDING CONSTRAINTS,
                CONSTRAINT %I CHECK (event_date >= %L AND event_date < %L))',
                part, part || '_month', first_day, next_first);
            EXECUTE format('ALTER TABLE public.audit_events ATTACH PARTITION public.%I FOR VALUES FROM (%L) TO (%L)',
                part, first_day, next_first);
            EXECUTE format('CREATE TRIGGER audit_events_no_truncate BEFORE TRUNCATE ON public.%I
                FOR EACH STATEMENT EXECUTE FUNCTION public.audit_refuse_change()', part);
            made := made + 1;
        EXCEPTION WHEN check_violation OR lock_not_available THEN
            RAISE WARNING 'partition % was not made: %', part, SQLERRM;
        END;
    END LOOP;
    months_ahead := -1;
    WHILE to_regclass('public.audit_events_' || to_char(this_month + make_interval(months => months_ahead + 1), 'YYYY_MM'))
        IS NOT NULL LOOP
        months_ahead := months_ahead + 1;
    END LOOP;
    default_rows := (SELECT count(*) FROM public.audit_events_default);
    RETURN NEXT;
END
$$;
-- +goose StatementEnd
REVOKE ALL ON FUNCTION audit_ensure_partitions_at(date, integer) FROM PUBLIC;

-- The same for now, with the rights of the owner.
-- +goose StatementBegin
CREATE FUNCTION audit_ensure_partitions(months integer)
    RETURNS TABLE (made integer, months_ahead integer, default_rows bigint)
    LANGUAGE sql
    SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp
AS $$ SELECT * FROM public.audit_ensure_partitions_at((now() AT TIME ZONE 'UTC')::date, months) $$;
-- +goose StatementEnd
REVOKE ALL ON FUNCTION audit_ensure_partitions(integer) FROM PUBLIC;

-- The partitions with the number of their rows, oldest first, the default partition last.
-- +goose StatementBegin
CREATE FUNCTION audit_partitions() RETURNS TABLE (partition_name text, row_count bigint)
    LANGUAGE plpgsql
    SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    FOR partition_name IN
        SELECT c.relname FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'public.audit_events'::regclass ORDER BY c.relname
    LOOP
        EXECUTE format('SELECT count(*) FROM public.%I', partition_name) INTO row_count;
        RETURN NEXT;
    END LOOP;
END
$$;
-- +goose StatementEnd
REVOKE ALL ON FUNCTION audit_partitions() FROM PUBLIC;

-- Drops the partitions of the months before the given one, with all their rows, and returns what they held.
-- +goose StatementBegin
CREATE FUNCTION audit_drop_before(month date) RETURNS TABLE (partition_name text, row_count bigint)
    LANGUAGE plpgsql
    SET search_path = pg_catalog, public, pg_temp
    SET lock_timeout = '10s'
AS $$
BEGIN
    FOR partition_name IN
        SELECT c.relname FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'public.audit_events'::regclass AND c.relname ~ '^audit_events_[0-9]{4}_[0-9]{2}$'
            AND c.relname < 'audit_events_' || to_char(month, 'YYYY_MM')
        ORDER BY c.relname
    LOOP
        EXECUTE format('SELECT count(*) FROM public.%I', partition_name) INTO row_count;
        EXECUTE format('DROP TABLE public.%I', partition_name);
        RETURN NEXT;
    END LOOP;
END
$$;
-- +goose StatementEnd
REVOKE ALL ON FUNCTION audit_drop_before(date) FROM PUBLIC;

-- Moves the rows of the default partition into partitions of their months and returns how many rows went where. The one
-- code that takes rows away: a detached table is no audit table while this transaction lasts.
-- +goose StatementBegin
CREATE FUNCTION audit_repair_default() RETURNS TABLE (partition_name text, row_count bigint)
    LANGUAGE plpgsql
    SET search_path = pg_catalog, public, pg_temp
    SET lock_timeout = '10s'
AS $$
DECLARE
    months     date[];
    first_day  date;
    next_first date;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('audit_ensure_partitions', 0));
    ALTER TABLE public.audit_events DETACH PARTITION public.audit_events_default;
    months := ARRAY(SELECT DISTINCT date_trunc('month', event_date)::date FROM public.audit_events_default ORDER BY 1);
    FOREACH first_day IN ARRAY months LOOP
        next_first := (first_day + make_interval(months => 1))::date;
        partition_name := 'audit_events_' || to_char(first_day, 'YYYY_MM');
        EXECUTE format('CREATE TABLE public.%I (LIKE public.audit_events INCLUDING DEFAULTS INCLUDING CONSTRAINTS,
            CONSTRAINT %I CHECK (event_date >= %L AND event_date < %L))',
            partition_name, partition_name || '_month', first_day, next_first);
        EXECUTE format('INSERT INTO public.%I SELECT * FROM public.audit_events_default
            WHERE event_date >= %L AND event_date < %L', partition_name, first_day, next_first);
        GET DIAGNOSTICS row_count = ROW_COUNT;
        EXECUTE format('DELETE FROM public.audit_events_default WHERE event_date >= %L AND event_date < %L', first_day, next_first);
        EXECUTE format('ALTER TABLE public.audit_events ATTACH PARTITION public.%I FOR VALUES FROM (%L) TO (%L)',
            partition_name, first_day, next_first);
        EXECUTE format('CREATE TRIGGER audit_events_no_truncate BEFORE TRUNCATE ON public.%I
            FOR EACH STATEMENT EXECUTE FUNCTION public.audit_refuse_change()', partition_name);
        RETURN NEXT;
    END LOOP;
    ALTER TABLE public.audit_events ATTACH PARTITION public.audit_events_default DEFAULT;
END
$$;
-- +goose StatementEnd
REVOKE ALL ON FUNCTION audit_repair_default() FROM PUBLIC;

-- Forgets ids older than the given days; from then on only the primary key stops a repeat, within its day.
-- +goose StatementBegin
CREATE FUNCTION audit_prune_ids(days integer) RETURNS bigint
    LANGUAGE plpgsql
    SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    gone bigint;
BEGIN
    IF days < 9 THEN
        RAISE EXCEPTION 'days must be at least 9 (got %)', days;
    END IF;
    DELETE FROM public.audit_event_ids WHERE event_date < (now() AT TIME ZONE 'UTC')::date - days;
    GET DIAGNOSTICS gone = ROW_COUNT;
    RETURN gone;
END
$$;
-- +goose StatementEnd
REVOKE ALL ON FUNCTION audit_prune_ids(integer) FROM PUBLIC;
