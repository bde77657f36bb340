/*
 * base/inval.c
 *	  Being told that a relation has changed.
 *
 * PostgreSQL has room for ten callbacks of the relcache in a process, for all
 * libraries together: ours take one.
 */
#include "postgres.h"

#include "base/inval.h"

#define MAX_FUNCTIONS	8

static RelcacheCallbackFunction functions[MAX_FUNCTIONS];
static int	nfunctions = 0;

static void inval_callback(Datum arg, Oid relid);

/* Register the callback. */
void
nvs_inval_init(void)
{
	CacheRegisterRelcacheCallback(inval_callback, (Datum) 0);
}

/*
 * Have a function be called when a relation has changed, or, for InvalidOid,
 * any may have.  That may happen inside any access to the catalog: it is to
 * note that, and nothing else.
 */
void
nvs_inval_register(RelcacheCallbackFunction function)
{
	if (nfunctions == MAX_FUNCTIONS)
		elog(ERROR, "unexpected number of relcache callbacks");
	functions[nfunctions++] = function;
}

/* RelcacheCallbackFunction. */
static void
inval_callback(Datum arg, Oid relid)
{
	int			i;

	for (i = 0; i < nfunctions; i++)
		functions[i] (arg, relid);
}
