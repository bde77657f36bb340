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
 * true; when it returns false, all that it wrote and locked is undone.
 * Returns the same.  The function runs in the caller's memory context.  An
 * error undoes it, too, and is raised again: left to itself, an abort of the
 * transaction would not end a subtransaction that is no savepoint.
 */
bool
nvs_subtransaction(bool (*work) (void *arg), void *arg)
{
	MemoryContext cxt = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	bool		done = false;

	/* It begins with a memory context of its own, which is not for results. */
	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(cxt);
	PG_TRY();
	{
		done = work(arg);
	}
	PG_CATCH();
	{
		ErrorData  *error;

		/* The error has to be there when the subtransaction is not. */
		MemoryContextSwitchTo(cxt);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(cxt);
		CurrentResourceOwner = owner;
		ReThrowError(error);
	}
	PG_END_TRY();

	/*
	 * The end leaves those of the outer transaction current, which need not
	 * be the ones that the caller had.
	 */
	if (done)
		ReleaseCurrentSubTransaction();
	else
		RollbackAndReleaseCurrentSubTransaction();
	MemoryContextSwitchTo(cxt);
	CurrentResourceOwner = owner;
	return done;
}
