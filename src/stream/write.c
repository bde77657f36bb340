/*
 * stream/write.c
 *	  Statements that change the relation of a stream.
 *
 * All of them are executed here, with a pass: the trigger of a protected table
 * (stream/protect.c) lets through the one statement on the one relation that
 * has it.  The trigger takes the pass away, so that nothing that the statement
 * sets off, such as a user's trigger, can use it.
 */
#include "postgres.h"

#include "stream/write.h"

/* The relation that the next statement may change. */
static Oid	write_pass = InvalidOid;

/*
 * Execute a plan that changes a stream's relation, as the caller.  function,
 * if not NULL, has the rows that it returns.  Returns how many rows there
 * were.
 */
uint64
nvs_stream_write(const NvsTarget *target, SPIPlanPtr plan,
				 const NvsParams *params, NvsRowFunction function, void *arg)
{
	uint64		rows = 0;

	write_pass = target->relid;
	PG_TRY();
	{
		if (function != NULL)
			rows = nvs_execute_each(plan, params, false, function, arg);
		else
			rows = nvs_execute(plan, params, false, 0);
	}
	PG_FINALLY();
	{
		write_pass = InvalidOid;
	}
	PG_END_TRY();
	return rows;
}

/* Has this statement a pass for a relation?  There is none after that. */
bool
nvs_stream_take_pass(Oid relid)
{
	if (write_pass != relid)
		return false;
	write_pass = InvalidOid;
	return true;
}
