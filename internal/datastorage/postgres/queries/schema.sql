-- name: SchemaVersion :one
SELECT coalesce(max(version_id), 0)::bigint FROM goose_db_version WHERE is_applied;

-- name: HasVersions :one
-- Whether anything was ever migrated.
SELECT (to_regclass('goose_db_version') IS NOT NULL)::boolean;

-- name: SetStatementTimeout :exec
-- For the rest of the transaction.
SELECT set_config('statement_timeout', @milliseconds::text, true);

-- name: ReadOnly :one
-- A standby, or a primary that takes no writes for now.
SELECT current_setting('transaction_read_only')::boolean;

-- name: ServerVersion :one
SELECT current_setting('server_version_num')::integer;

-- name: RoleStanding :one
-- What the connected role is, which decides whether it should serve.
SELECT r.rolname::text AS role_name, r.rolsuper AS is_superuser,
    EXISTS (SELECT FROM pg_catalog.pg_class AS c WHERE c.relname = 'audit_events' AND c.relowner = r.oid)::boolean AS is_owner
FROM pg_catalog.pg_roles AS r
WHERE r.rolname = current_user;

-- name: EnsurePartitions :one
SELECT e.made::integer AS made, e.months_ahead::integer AS months_ahead, e.default_rows::bigint AS default_rows
FROM audit_ensure_partitions(@months::integer) AS e;

-- name: LockSetUp :exec
-- One migrate at a time gives roles their rights.
SELECT pg_advisory_xact_lock(hashtextextended('datastorage_set_up', 0));

-- name: EnsureAppRole :one
SELECT datastorage_ensure_app_role(@role_name::text, @verifier::text)::boolean;

-- name: GrantApp :exec
SELECT datastorage_grant_app(@role_name::text);

-- name: TryLock :one
SELECT pg_try_advisory_lock(@number::bigint);

-- name: Unlock :exec
SELECT pg_advisory_unlock(@number::bigint);

-- name: PruneIDs :one
SELECT audit_prune_ids(@days::integer)::bigint;

-- name: Partitions :many
SELECT p.partition_name::text AS name, p.row_count::bigint AS rows FROM audit_partitions() AS p;

-- name: DropPartitionsBefore :many
SELECT p.partition_name::text AS name, p.row_count::bigint AS rows FROM audit_drop_before(@month::date) AS p;

-- name: RepairDefaultPartition :many
SELECT p.partition_name::text AS name, p.row_count::bigint AS rows FROM audit_repair_default() AS p;
