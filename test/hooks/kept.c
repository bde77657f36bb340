/*
 * test/hooks/kept.c
 *	  A function that calls another, and keeps what that has for later calls.
 *
 *	kept(function oid, argument text) returns bigint
 *
 * The executor forgets it with the statement; other code that calls functions
 * may keep it for as long as the session lives, as this does.  For
 * test/t/018_position_kept.pl, which loads it by its path.
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/memutils.h"

PG_MODULE_MAGIC;

PG_FUNCTION_INFO_V1(kept);

Datum
kept(PG_FUNCTION_ARGS)
{
	static FmgrInfo function;

	if (function.fn_oid != PG_GETARG_OID(0))
		fmgr_info_cxt(PG_GETARG_OID(0), &function, TopMemoryContext);
	PG_RETURN_DATUM(FunctionCall1(&function, PG_GETARG_DATUM(1)));
}
