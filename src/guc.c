/*
 * guc.c
 *	  Defines the settings, in alphabetical order.
 */
#include "postgres.h"

#include <limits.h>

#include "guc.h"
#include "miscadmin.h"
#include "utils/guc.h"

bool		nvs_auto_create = true;
char	   *nvs_default_store = NULL;
int			nvs_max_append_age = 0;
int			nvs_max_databases = 32;
int			nvs_max_stream_tables = 256;
int			nvs_notify = NVS_NOTIFY_INLINE;

static const struct config_enum_entry notify_options[] = {
	{"inline", NVS_NOTIFY_INLINE, false},
	{"off", NVS_NOTIFY_OFF, false},
	{NULL, 0, false}
};

/* Define every setting and reserve the prefix. */
void
nvs_guc_init(void)
{
	DefineCustomBoolVariable("nvent_store.auto_create",
							 "Create the default store on the first write to it.",
							 "Off: such a write is an error that names store_create.",
							 &nvs_auto_create,
							 true,
							 PGC_USERSET, 0,
							 NULL, NULL, NULL);

	DefineCustomStringVariable("nvent_store.default_store",
							   "Store of subjects whose first token names no store.",
							   NULL,
							   &nvs_default_store,
							   "nvent",
							   PGC_USERSET, 0,
							   NULL, NULL, NULL);

	DefineCustomIntVariable("nvent_store.max_append_age",
							"How long a transaction that appended may go on appending.",
							"An open appender holds back readers of what others "
							"append; beyond this age its next append is an error, "
							"and the worker names it in the log. 0 is no limit.",
							&nvs_max_append_age,
							0, 0, INT_MAX,
							PGC_SUSET, GUC_UNIT_MS,
							NULL, NULL, NULL);

	/* What shapes shared memory is fixed before there are backends. */
	if (process_shared_preload_libraries_in_progress)
		DefineCustomIntVariable("nvent_store.max_databases",
								"Databases that have a place in shared memory.",
								"In further ones positions are guarded by "
								"advisory locks, and there is no worker.",
								&nvs_max_databases,
								32, 1, 1024,
								PGC_POSTMASTER, 0,
								NULL, NULL, NULL);

	DefineCustomIntVariable("nvent_store.max_stream_tables",
							"Generic stream tables that one store may have.",
							"Guards against subjects that would make a table each; "
							"0 allows none to be made.",
							&nvs_max_stream_tables,
							256, 0, INT_MAX,
							PGC_SUSET, 0,
							NULL, NULL, NULL);

	DefineCustomEnumVariable("nvent_store.notify",
							 "How an append tells listeners.",
							 "inline: NOTIFY in the appending transaction. "
							 "off: not at all.",
							 &nvs_notify,
							 NVS_NOTIFY_INLINE, notify_options,
							 PGC_USERSET, 0,
							 NULL, NULL, NULL);

	MarkGUCPrefixReserved("nvent_store");
}
