\set ECHO none
-- A deployment of adapter-store-postgres, as its migrations 1 and 2 make it:
-- tables, indexes, defaults.  Included as helpers.sql is; whoever includes it
-- drops the function.
--
-- deploy(PREFIX, SCHEMA, LAYOUT)
CREATE FUNCTION deploy(p text, s text, layout integer) RETURNS void
LANGUAGE plpgsql AS $deploy$
DECLARE
    ddl text := $ddl$
CREATE TABLE @_schema_version (
    version integer PRIMARY KEY,
    applied_at timestamptz DEFAULT now(), description text);
CREATE TABLE @_flow_events (
    id bigserial PRIMARY KEY, run_id text NOT NULL, flow_name text NOT NULL,
    ts bigint NOT NULL, type text NOT NULL, step_name text, step_id text,
    attempt integer, data jsonb, created_at timestamptz DEFAULT now());
CREATE INDEX #_flow_events_run ON @_flow_events (run_id, ts DESC);
CREATE INDEX #_flow_events_flow_type ON @_flow_events (flow_name, type, ts DESC);
CREATE TABLE @_flow_runs (
    flow_name text NOT NULL, run_id text NOT NULL,
    status text NOT NULL DEFAULT 'running', started_at bigint NOT NULL,
    completed_at bigint, step_count integer, completed_steps integer DEFAULT 0,
    last_activity_at bigint, emitted_events jsonb DEFAULT '{}',
    awaiting_steps jsonb DEFAULT '{}', version integer DEFAULT 0,
    updated_at timestamptz DEFAULT now(), PRIMARY KEY (flow_name, run_id));
CREATE INDEX #_flow_runs_status ON @_flow_runs (status)
    WHERE status IN ('running', 'awaiting');
CREATE INDEX #_flow_runs_active ON @_flow_runs (flow_name, started_at DESC)
    WHERE status IN ('running', 'awaiting');
CREATE INDEX #_flow_runs_completed
    ON @_flow_runs (flow_name, completed_at DESC NULLS LAST)
    WHERE completed_at IS NOT NULL;
CREATE INDEX #_flow_runs_activity ON @_flow_runs (last_activity_at DESC NULLS LAST);
CREATE TABLE @_flows (
    flow_name text PRIMARY KEY, display_name text,
    flow_version integer DEFAULT 1, registered_at bigint NOT NULL,
    last_run_at bigint, stats_total integer DEFAULT 0,
    stats_success integer DEFAULT 0, stats_failure integer DEFAULT 0,
    stats_running integer DEFAULT 0, stats_awaiting integer DEFAULT 0,
    stats_cancel integer DEFAULT 0, version integer DEFAULT 0,
    updated_at timestamptz DEFAULT now());
CREATE INDEX #_flows_last_run ON @_flows (last_run_at DESC NULLS LAST);
CREATE INDEX #_flows_running ON @_flows (stats_running DESC)
    WHERE stats_running > 0;
CREATE TABLE @_trigger_events (
    id bigserial PRIMARY KEY, trigger_name text NOT NULL, ts bigint NOT NULL,
    type text NOT NULL, data jsonb, created_at timestamptz DEFAULT now());
CREATE INDEX #_trigger_events_trigger ON @_trigger_events (trigger_name, ts DESC);
CREATE INDEX #_trigger_events_type ON @_trigger_events (type, ts DESC);
CREATE TABLE @_triggers (
    trigger_name text PRIMARY KEY, trigger_type text,
    status text DEFAULT 'active', registered_at bigint NOT NULL,
    last_activity_at bigint, display_name text, description text, scope text,
    source text, stats_total_fires integer DEFAULT 0,
    stats_last_fired_at bigint, stats_total_flows_started integer DEFAULT 0,
    stats_active_subscribers integer DEFAULT 0,
    subscriptions jsonb DEFAULT '{}', webhook jsonb, schedule jsonb,
    config jsonb, version integer DEFAULT 0,
    updated_at timestamptz DEFAULT now());
CREATE INDEX #_triggers_status ON @_triggers (status) WHERE status = 'active';
CREATE INDEX #_triggers_type ON @_triggers (trigger_type, registered_at DESC);
CREATE TABLE @_scheduler_jobs (
    job_id text PRIMARY KEY, name text, job_name text, type text, cron text,
    interval bigint, execute_at bigint, timezone text,
    enabled boolean DEFAULT true, scheduled_at bigint NOT NULL,
    last_run_at bigint, next_run_at bigint, status text DEFAULT 'pending',
    metadata jsonb, config jsonb, version integer DEFAULT 0,
    updated_at timestamptz DEFAULT now());
CREATE INDEX #_scheduler_jobs_next_run ON @_scheduler_jobs (next_run_at)
    WHERE status = 'pending' AND enabled = true;
CREATE INDEX #_scheduler_jobs_type ON @_scheduler_jobs (type, next_run_at)
    WHERE enabled = true;
CREATE TABLE @_kv (
    key text PRIMARY KEY, value jsonb NOT NULL, expires_at timestamptz,
    updated_at timestamptz DEFAULT now());
CREATE INDEX #_kv_expires ON @_kv (expires_at) WHERE expires_at IS NOT NULL;
INSERT INTO @_schema_version (version, description) VALUES (1, 'flat schema');
$ddl$;
BEGIN
    IF layout = 2 THEN
        ddl := ddl || $$INSERT INTO @_schema_version (version, description)
            VALUES (2, 'deep merge of nulls');$$;
    END IF;
    EXECUTE replace(replace(ddl, '@', s || '.' || p), '#', 'idx_' || p);
END $deploy$;
\set ECHO all
