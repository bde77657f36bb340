/*
 * base/guc.c
 *	  Defines the settings, in alphabetical order within each function.
 */
#include "postgres.h"

#include <limits.h>

#include "miscadmin.h"
#include "utils/guc.h"

#include "compat.h"
#include "base/guc.h"

bool		nvs_auto_create = true;
char	   *nvs_default_store = NULL;
bool		nvs_early_lock_release = false;
int			nvs_maintenance_interval = 10000;
int			nvs_maintenance_lock_timeout = 1000;
int			nvs_maintenance_timeout = 10000;
int			nvs_max_append_age = 0;
int			nvs_max_append_age_action = NVS_APPEND_AGE_LOG;
int			nvs_max_databases = 32;
int			nvs_max_stream_tables = 256;
int			nvs_max_wait = 30000;
int			nvs_notify = NVS_NOTIFY_INLINE;
int			nvs_ring_size = 128;
int			nvs_publish_interval = 100;
int			nvs_worker_idle_timeout = 60000;
int			nvs_worker_naptime = 60000;

bool		nvs_worker_possible = false;

static const struct config_enum_entry append_age_options[] = {
	{"log", NVS_APPEND_AGE_LOG, false},
	{"terminate", NVS_APPEND_AGE_TERMINATE, false},
	{NULL, 0, false}
};

static const struct config_enum_entry notify_options[] = {
	{"worker", NVS_NOTIFY_WORKER, false},
	{"inline", NVS_NOTIFY_INLINE, false},
	{"off", NVS_NOTIFY_OFF, false},
	{NULL, 0, false}
};

static bool guc_has_shared_memory(void);
static bool guc_check_early_lock_release(bool *newval, void **extra,
										 GucSource source);
static bool guc_check_notify(int *newval, void **extra, GucSource source);
static void guc_define_commit(void);
static void guc_define_shared(void);
static void guc_define_worker(void);
static void guc_define_stores(void);
static void guc_define_streams(void);

/* Is there shared memory, or can it be had when it is asked for? */
static bool
guc_has_shared_memory(void)
{
#ifdef NVS_NAMED_SEGMENTS
	return true;
#else
	return nvs_worker_possible;
#endif
}

/*
 * check_hook: who reads events, and who finds nothing left to do, hears by
 * shared memory of what is not durable yet.  A binary upgrade has none.
 */
static bool
guc_check_early_lock_release(bool *newval, void **extra pg_attribute_unused(),
							 GucSource source pg_attribute_unused())
{
	if (!*newval || guc_has_shared_memory() || IsBinaryUpgrade)
		return true;
	GUC_check_errdetail("There is shared memory for it only when nvent_store "
						"is in shared_preload_libraries.");
	return false;
}

/*
 * check_hook: without a launcher nobody would send what is for the worker.  A
 * binary upgrade starts none, with the settings of a server that may have one;
 * it sends nothing.
 */
static bool
guc_check_notify(int *newval, void **extra pg_attribute_unused(),
				 GucSource source pg_attribute_unused())
{
	if (*newval != NVS_NOTIFY_WORKER || nvs_worker_possible || IsBinaryUpgrade)
		return true;
	GUC_check_errdetail("There is a worker only when nvent_store is in "
						"shared_preload_libraries.");
	return false;
}

/*
 * Define the setting of commits.  As with synchronous_commit it is everybody's:
 * it is about what one's own transactions have written.
 */
static void
guc_define_commit(void)
{
	DefineCustomBoolVariable("nvent_store.early_lock_release",
							 "Releases the locks of a transaction before its commit is durable.",
							 "The session waits for that before it answers; others may "
							 "read what was written before, but no events.",
							 &nvs_early_lock_release,
							 false,
							 PGC_USERSET, 0,
							 guc_check_early_lock_release, NULL, NULL);
}

/* Define the settings that shape shared memory, fixed at server start. */
static void
guc_define_shared(void)
{
	DefineCustomIntVariable("nvent_store.max_databases",
							"Sets the maximum number of databases that have a place in shared memory.",
							"In further ones positions are guarded by "
							"advisory locks, and there is no notifier.",
							&nvs_max_databases,
							32, 1, 1024,
							PGC_POSTMASTER, 0,
							NULL, NULL, NULL);

	DefineCustomIntVariable("nvent_store.ring_size",
							"Sets the memory for announcements that the notifier has yet to take, per database.",
							"When it is full, listeners are told to read "
							"everything again.",
							&nvs_ring_size,
							128, 8, 65536,
							PGC_POSTMASTER, GUC_UNIT_KB,
							NULL, NULL, NULL);
}

/* Define the settings of the processes that work by themselves. */
static void
guc_define_worker(void)
{
	/* All are read again on SIGHUP: no session of anybody's could set them. */
	DefineCustomIntVariable("nvent_store.maintenance_interval",
							"Sets the time between the runs of nvent.maintain() by the maintenance process.",
							"0 disables them.",
							&nvs_maintenance_interval,
							10000, 0, INT_MAX,
							PGC_SIGHUP, GUC_UNIT_MS,
							NULL, NULL, NULL);

	DefineCustomIntVariable("nvent_store.maintenance_lock_timeout",
							"Sets the time for which maintenance waits for a lock.",
							"A store where it takes longer is left alone for "
							"a while. 0 means no limit.",
							&nvs_maintenance_lock_timeout,
							1000, 0, INT_MAX,
							PGC_SIGHUP, GUC_UNIT_MS,
							NULL, NULL, NULL);

	DefineCustomIntVariable("nvent_store.maintenance_timeout",
							"Sets the time for which one store may be maintained at a time.",
							"Triggers of its owner run in it. "
							"A store where it takes longer is left alone for "
							"a while. 0 means no limit.",
							&nvs_maintenance_timeout,
							10000, 0, INT_MAX / 2,
							PGC_SIGHUP, GUC_UNIT_MS,
							NULL, NULL, NULL);

	DefineCustomEnumVariable("nvent_store.max_append_age_action",
							 "Sets what the notifier does with a transaction that is beyond nvent_store.max_append_age.",
							 "log: it is named in the log. terminate: its session "
							 "is ended, too, as by pg_terminate_backend().",
							 &nvs_max_append_age_action,
							 NVS_APPEND_AGE_LOG, append_age_options,
							 PGC_SIGHUP, 0,
							 NULL, NULL, NULL);

	DefineCustomIntVariable("nvent_store.publish_interval",
							"Sets the time between the notifier's updates of nvent.published_position while positions advance.",
							"Readers in REPEATABLE READ and on standbys are "
							"behind by as much. 0 disables them.",
							&nvs_publish_interval,
							100, 0, INT_MAX,
							PGC_SIGHUP, GUC_UNIT_MS,
							NULL, NULL, NULL);

	DefineCustomIntVariable("nvent_store.worker_idle_timeout",
							"Sets the time after which our processes leave a database where nothing happens.",
							"0 means that they stay.",
							&nvs_worker_idle_timeout,
							60000, 0, INT_MAX,
							PGC_SIGHUP, GUC_UNIT_MS,
							NULL, NULL, NULL);

	DefineCustomIntVariable("nvent_store.worker_naptime",
							"Sets the time after which maintenance returns to a database where nothing happens.",
							"0 means never.",
							&nvs_worker_naptime,
							60000, 0, INT_MAX,
							PGC_SIGHUP, GUC_UNIT_MS,
							NULL, NULL, NULL);
}

/* Define the settings of stores. */
static void
guc_define_stores(void)
{
	DefineCustomBoolVariable("nvent_store.auto_create",
							 "Creates the default store on the first write to it.",
							 "When off, such a write is an error that names store_create.",
							 &nvs_auto_create,
							 true,
							 PGC_USERSET, 0,
							 NULL, NULL, NULL);

	DefineCustomStringVariable("nvent_store.default_store",
							   "Sets the store of subjects whose first token names no store.",
							   NULL,
							   &nvs_default_store,
							   "nvent",
							   PGC_USERSET, 0,
							   NULL, NULL, NULL);

	DefineCustomIntVariable("nvent_store.max_stream_tables",
							"Sets the maximum number of generic stream tables of one store.",
							"Guards against subjects that would make a table each; "
							"0 means that none is made.",
							&nvs_max_stream_tables,
							256, 0, INT_MAX,
							PGC_SUSET, 0,
							NULL, NULL, NULL);
}

/*
 * Define the settings of appends and of those who wait for them.  Where there
 * can be a worker, it is the one that notifies by default.
 */
static void
guc_define_streams(void)
{
	int			notify = process_shared_preload_libraries_in_progress ?
		NVS_NOTIFY_WORKER : NVS_NOTIFY_INLINE;

	/* A server with assertions wants the default to be there already. */
	nvs_notify = notify;

	/*
	 * Long appends hold back readers, and long waits hold back VACUUM, so how
	 * long is not for everybody to say.
	 */
	DefineCustomIntVariable("nvent_store.max_append_age",
							"Sets the maximum time for which a transaction may go on appending.",
							"An open appender holds back readers of what others "
							"append; beyond this age its next append is an error, "
							"and the notifier names it in the log. 0 means no limit.",
							&nvs_max_append_age,
							0, 0, INT_MAX,
							PGC_SUSET, GUC_UNIT_MS,
							NULL, NULL, NULL);

	DefineCustomIntVariable("nvent_store.max_wait",
							"Sets the maximum time for which nvent.stream_wait() waits.",
							"It holds a snapshot, so VACUUM cannot remove what "
							"became dead since. "
							"CALL nvent.stream_await() outside a transaction "
							"block holds none and waits as long as it is told.",
							&nvs_max_wait,
							30000, 0, INT_MAX,
							PGC_SUSET, GUC_UNIT_MS,
							NULL, NULL, NULL);

	DefineCustomEnumVariable("nvent_store.notify",
							 "Sets how listeners are notified of appends.",
							 "worker: after commit, so that commits do not wait "
							 "for one another. inline: NOTIFY in the appending "
							 "transaction. off: not.",
							 &nvs_notify,
							 notify, notify_options,
							 PGC_USERSET, 0,
							 guc_check_notify, NULL, NULL);
}

/* Define every setting and reserve the prefix. */
void
nvs_guc_init(void)
{
	if (process_shared_preload_libraries_in_progress)
		guc_define_shared();
	guc_define_commit();
	guc_define_stores();
	guc_define_streams();
	guc_define_worker();
	MarkGUCPrefixReserved("nvent_store");
}
