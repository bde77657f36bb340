/*
 * base/subtransaction.c
 *	  Work that is undone unless it comes to something.
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/resowner.h"

#include "base/subtransaction.h"

/*
 * Call a function in a subtransaction, which is committed when that returns
 * true; when it returns false, all that it wrote and locked is undone.  Returns
 * the same.  An error undoes it, too, and is raised again: left to itself, an
 * abort of the transaction would not end a subtransaction that is no savepoint.
 */
bool
nvs_subtransaction(bool (*work) (void *arg), void *arg)
{
	MemoryContext cxt = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	bool		done = false;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(cxt);
	PG_TRY();
	{
		done = work(arg);
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(cxt);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(cxt);
		CurrentResourceOwner = owner;
		ReThrowError(error);
	}
	PG_END_TRY();
	if (done)
		ReleaseCurrentSubTransaction();
	else
		RollbackAndReleaseCurrentSubTransaction();
	MemoryContextSwitchTo(cxt);
	CurrentResourceOwner = owner;
	return done;
}
