/*
 * nvent_store.c
 *	  Module magic and the calls of each module's init; nothing else.
 */
#include "postgres.h"

#include "fmgr.h"

#include "base/by_index.h"
#include "base/grant.h"
#include "base/guc.h"
#include "base/identity.h"
#include "base/inval.h"
#include "base/planned.h"
#include "position/position.h"
#include "position/shmem.h"
#include "position/xact.h"
#include "queue/bind.h"
#include "queue/queue.h"
#include "route/binding.h"
#include "route/route.h"
#include "route/table_set.h"
#include "store/store.h"
#include "wakeup/jobs.h"
#include "wakeup/notify.h"
#include "worker/worker.h"

PG_MODULE_MAGIC;

PGDLLEXPORT void _PG_init(void);

/* Called once per backend, or once in the postmaster when preloaded. */
void
_PG_init(void)
{
	nvs_shmem_init();
	nvs_guc_init();
	nvs_xact_init();
	nvs_inval_init();
	nvs_identity_init();
	nvs_planned_init();
	nvs_by_index_init();
	nvs_grant_init();
	nvs_position_init();
	nvs_notify_init();
	nvs_store_init();
	nvs_copy_init();
	nvs_target_init();
	nvs_table_set_init();
	nvs_binding_init();
	nvs_deliver_init();
	nvs_hint_init();
	nvs_count_init();
	nvs_jobs_init();
	nvs_launcher_init();
	nvs_utility_init();
}
