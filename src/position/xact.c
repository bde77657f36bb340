/*
 * position/xact.c
 *	  What is done when a transaction ends: all callbacks, in one order.
 *
 * Nobody else registers transaction, subtransaction or resource release
 * callbacks.  Modules below us are called by name, those above have handed us
 * their handlers.  The phases, and in each of them who has his turn:
 *
 *	before commit	rows are not visible; may raise, which rolls back
 *		handlers: announcements become NOTIFY, or a block for the ring; what
 *		was changed of queues is told to who counts them
 *		early release: the commit is not to wait
 *	before prepare	may raise, which rolls back
 *		handlers: what was changed of queues is to be counted anew
 *		low-water mark: becomes a lock, which the prepared transaction keeps
 *	decided			committed, prepared or aborted
 *		base/plan: no call of ours is on the stack
 *		early release: synchronous_commit is the user's again
 *	after locks		locks have gone
 *		early release: waits until the commit is durable
 *		low-water mark: is taken back
 *		handlers: the block goes into the ring, and the notifier is woken;
 *		jobs that were taken are handed back, where it was rolled back, and
 *		what was changed of queues is counted, where it was not
 *	before subcommit	may raise, which rolls back
 *		handlers: announcements, and jobs taken, become the parent's
 *	after subabort
 *		base/plan: calls that began in it are not on the stack
 *		handlers: its announcements are dropped, its jobs handed back
 *
 * Where it does not say so, nothing may raise or allocate: what has been
 * decided cannot be undone, and the server would restart.
 *
 * "After locks" is a resource release callback since no transaction callback
 * comes late enough.  By then our rows are visible, and other backends have
 * been sent what we changed in the catalogs and in our registry: who reads up
 * to our positions also finds a table that we made.
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/resowner.h"

#include "base/plan.h"
#include "position/internal.h"
#include "position/xact.h"

#define MAX_HANDLERS	8

static const NvsXactHandlers *all_handlers[MAX_HANDLERS];
static int	nhandlers = 0;

/* Has the transaction that is ending been decided, and how? */
static bool decided = false;
static NvsXactOutcome outcome;

/* Was a call of the transaction to change something?  Does it send NOTIFYs? */
static bool changes = false;
static bool notifies = false;

static void xact_callback(XactEvent event, void *arg);
static void xact_release_callback(ResourceReleasePhase phase, bool is_commit,
								  bool is_top_level, void *arg);
static void xact_sub_callback(SubXactEvent event, SubTransactionId mine,
							  SubTransactionId parent, void *arg);
static void xact_before_commit(void);
static void xact_before_prepare(void);
static void xact_decide(NvsXactOutcome how);
static void xact_after_locks(void);

/* Register the callbacks. */
void
nvs_xact_init(void)
{
	RegisterXactCallback(xact_callback, NULL);
	RegisterSubXactCallback(xact_sub_callback, NULL);
	RegisterResourceReleaseCallback(xact_release_callback, NULL);
}

/* Call a module's handlers too, after those that were registered before. */
void
nvs_xact_register(const NvsXactHandlers *handlers)
{
	if (nhandlers == MAX_HANDLERS)
		elog(ERROR, "unexpected number of transaction handlers");
	all_handlers[nhandlers++] = handlers;
}

/* A call of this transaction is to change something, if it finds it. */
void
nvs_xact_changes(void)
{
	changes = true;
}

/* Was a call of this transaction to change something? */
bool
nvs_xact_is_changing(void)
{
	return changes;
}

/* This transaction, which is about to commit, sends NOTIFYs. */
void
nvs_xact_notifies(void)
{
	notifies = true;
}

/* XactCallback. */
static void
xact_callback(XactEvent event, void *arg pg_attribute_unused())
{
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
			xact_before_commit();
			break;
		case XACT_EVENT_PRE_PREPARE:
			xact_before_prepare();
			break;
		case XACT_EVENT_COMMIT:
			xact_decide(NVS_XACT_COMMITTED);
			break;
		case XACT_EVENT_PREPARE:
			xact_decide(NVS_XACT_PREPARED);
			break;
		case XACT_EVENT_ABORT:
			xact_decide(NVS_XACT_ABORTED);
			break;
		default:
			/* Parallel workers draw no positions and announce nothing. */
			break;
	}
}

/*
 * ResourceReleaseCallback.  It also comes for portals and subtransactions, and
 * for processes without transactions.
 */
static void
xact_release_callback(ResourceReleasePhase phase,
					  bool is_commit pg_attribute_unused(),
					  bool is_top_level, void *arg pg_attribute_unused())
{
	if (phase == RESOURCE_RELEASE_AFTER_LOCKS && is_top_level && decided)
		xact_after_locks();
}

/* SubXactCallback. */
static void
xact_sub_callback(SubXactEvent event,
				  SubTransactionId mine pg_attribute_unused(),
				  SubTransactionId parent pg_attribute_unused(),
				  void *arg pg_attribute_unused())
{
	int			level = GetCurrentTransactionNestLevel();
	int			i;

	if (event == SUBXACT_EVENT_ABORT_SUB)
	{
		nvs_spi_unwind(level);
		for (i = 0; i < nhandlers; i++)
			if (all_handlers[i]->after_subabort != NULL)
				all_handlers[i]->after_subabort(level);
	}
	else if (event == SUBXACT_EVENT_PRE_COMMIT_SUB)
		for (i = 0; i < nhandlers; i++)
			if (all_handlers[i]->before_subcommit != NULL)
				all_handlers[i]->before_subcommit(level);
}

/* The transaction is about to commit; may raise. */
static void
xact_before_commit(void)
{
	int			i;

	for (i = 0; i < nhandlers; i++)
		if (all_handlers[i]->before_commit != NULL)
			all_handlers[i]->before_commit();
	nvs_early_release_before_commit(changes, notifies);
}

/* The transaction is about to be prepared; may raise. */
static void
xact_before_prepare(void)
{
	int			i;

	for (i = 0; i < nhandlers; i++)
		if (all_handlers[i]->before_prepare != NULL)
			all_handlers[i]->before_prepare();
	nvs_low_water_mark_before_prepare();
}

/* The transaction has ended, but for the release of what it holds. */
static void
xact_decide(NvsXactOutcome how)
{
	decided = true;
	outcome = how;
	changes = false;
	notifies = false;
	nvs_spi_unwind(0);
	nvs_early_release_decided(how == NVS_XACT_COMMITTED);
}

/* The transaction's locks have gone. */
static void
xact_after_locks(void)
{
	NvsXactEnd	end;
	int			i;

	decided = false;
	nvs_early_release_wait();
	end.outcome = outcome;
	nvs_position_after_locks(&end);
	for (i = 0; i < nhandlers; i++)
		if (all_handlers[i]->after_locks != NULL)
			all_handlers[i]->after_locks(&end);
}
