/*
 * nvent_store.c
 *	  Module magic and the calls of each module's init; nothing else.
 */
#include "postgres.h"

#include "fmgr.h"
#include "guc.h"
#include "miscadmin.h"

PG_MODULE_MAGIC;

PGDLLEXPORT void _PG_init(void);

/* Called once per backend, or once in the postmaster when preloaded. */
void
_PG_init(void)
{
	nvs_guc_init();
}
