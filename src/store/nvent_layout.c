/*
 * store/nvent_layout.c
 *	  nvent's own tables: flows, their runs, triggers, scheduled jobs.
 *
 * They are as adapter-store-postgres has them, so that SQL of its users goes
 * on working, with more columns.  They are part of the base layout; what is in
 * a store for anybody is in store/layout.c.
 */
#include "postgres.h"

#include "store/layout.h"

/* Makes the tables; {name} is the table of that name of the store. */
const char *const nvs_nvent_tables_up[] = {
	"CREATE TABLE {flow_events} (" NVS_EVENT_ID
	"run_id text COLLATE \"C\" NOT NULL, "
	"flow_name text COLLATE \"C\", " NVS_EVENT_COLUMNS ")",
	"CREATE INDEX ON {flow_events} (run_id, id)",
	"CREATE INDEX ON {flow_events} (flow_name, type, ts DESC)",

	"CREATE TABLE {flow_runs} ("
	"flow_name text COLLATE \"C\" NOT NULL, "
	"run_id text COLLATE \"C\" NOT NULL, "
	"status text COLLATE \"C\" NOT NULL DEFAULT 'running', "
	"started_at bigint NOT NULL, "
	"completed_at bigint, "
	"step_count bigint, "
	"completed_steps bigint DEFAULT 0, "
	"last_activity_at bigint, "
	"emitted_events jsonb DEFAULT '{}', "
	"awaiting_steps jsonb DEFAULT '{}', " NVS_ENTRY_COLUMNS ", "
	"PRIMARY KEY (flow_name, run_id)) WITH (fillfactor = 70)",
	"CREATE INDEX ON {flow_runs} (flow_name, score, run_id)",
	"CREATE INDEX ON {flow_runs} (flow_name, score, run_id) "
	"WHERE status IN ('running', 'awaiting')",

	"CREATE TABLE {flows} ("
	"flow_name text COLLATE \"C\" PRIMARY KEY, "
	"display_name text, "
	"flow_version integer DEFAULT 1, "
	"registered_at bigint NOT NULL, "
	"last_run_at bigint, "
	"stats_total bigint DEFAULT 0, "
	"stats_success bigint DEFAULT 0, "
	"stats_failure bigint DEFAULT 0, "
	"stats_running bigint DEFAULT 0, "
	"stats_awaiting bigint DEFAULT 0, "
	"stats_cancel bigint DEFAULT 0, " NVS_ENTRY_COLUMNS ") WITH (fillfactor = 50)",
	"CREATE INDEX ON {flows} (score, flow_name)",

	"CREATE TABLE {trigger_events} (" NVS_EVENT_ID
	"trigger_name text COLLATE \"C\" NOT NULL, "
	"run_id text COLLATE \"C\", "
	"flow_name text COLLATE \"C\", " NVS_EVENT_COLUMNS ")",
	"CREATE INDEX ON {trigger_events} (trigger_name, id)",
	"CREATE INDEX ON {trigger_events} (type, ts DESC)",

	"CREATE TABLE {triggers} ("
	"trigger_name text COLLATE \"C\" PRIMARY KEY, "
	"trigger_type text COLLATE \"C\", "
	"status text COLLATE \"C\" DEFAULT 'active', "
	"registered_at bigint NOT NULL, "
	"last_activity_at bigint, "
	"display_name text, "
	"description text, "
	"scope text, "
	"source text, "
	"stats_total_fires bigint DEFAULT 0, "
	"stats_last_fired_at bigint, "
	"stats_total_flows_started bigint DEFAULT 0, "
	"stats_active_subscribers bigint DEFAULT 0, "
	"subscriptions jsonb DEFAULT '{}', "
	"webhook jsonb, "
	"schedule jsonb, "
	"config jsonb, " NVS_ENTRY_COLUMNS ") WITH (fillfactor = 50)",
	"CREATE INDEX ON {triggers} (score, trigger_name)",
	"CREATE INDEX ON {triggers} (trigger_type, registered_at DESC)",

	"CREATE TABLE {scheduler_jobs} ("
	"job_id text COLLATE \"C\" PRIMARY KEY, "
	"name text COLLATE \"C\", "
	"job_name text COLLATE \"C\", "
	"type text COLLATE \"C\", "
	"schedule text, "
	"cron text, "
	"interval bigint, "
	"execute_at bigint, "
	"timezone text, "
	"enabled boolean DEFAULT true, "
	"scheduled_at bigint NOT NULL, "
	"last_run_at bigint, "
	"next_run_at bigint, "
	"status text COLLATE \"C\" DEFAULT 'pending', "
	"metadata jsonb, "
	"config jsonb, "
	"authors text[] COLLATE \"C\", " NVS_ENTRY_COLUMNS ") "
	"WITH (fillfactor = 70)",
	NVS_AUTHOR_TRIGGER("BEFORE", "schedule_author"),
	NVS_AUTHOR_TRIGGER("AFTER", "schedule_author_check"),
	"CREATE INDEX ON {scheduler_jobs} (score, job_id)",
	"CREATE INDEX ON {scheduler_jobs} (next_run_at) "
	"WHERE status = 'pending' AND enabled",
	NULL
};

/* The tables. */
const char *const nvs_nvent_tables_down[] = {
	"scheduler_jobs", "triggers", "trigger_events", "flows", "flow_runs",
	"flow_events", NULL
};
