/*
 * position/early_release.c
 *	  Locks that are released before their transaction is durable.
 *
 * A commit is visible, and its locks go, when its record has been flushed and
 * the synchronous standbys have it: whoever wants the same row or subject waits
 * for that, and such a row has one commit per flush.  With
 * nvent_store.early_lock_release the record is written without waiting, as with
 * synchronous_commit = off; when the locks have gone, the backend waits as
 * synchronous_commit says, and only then answers.  So locks are held for as
 * long as the work takes, and the flush is shared by all who wait for it.
 *
 * What is acknowledged is durable all the same.  A commit that builds on
 * another's rows has its record behind the other's in the log.  One that has
 * found nothing left to do, since another has just done it, has no record: it
 * writes one while there are such commits that are not durable yet.
 *
 * Readers of events see none that may be lost: the low-water marks stay until
 * the wait is over, and before that are passed only where the log is flushed up
 * to the commit by then (position/low_water_mark.c).  So are announcements made
 * after the wait.  Where a standby is waited for, marks are not passed at all.
 *
 * What is announced by NOTIFY can be read by others as soon as the commit is
 * visible.  Where that would be long before its events can be, such a
 * transaction commits as ever.  So does one with remote_apply: only a record
 * that was written with it has the standby tell at once what it has applied.
 *
 * synchronous_commit is changed for the time of the commit behind the back of
 * the settings' own machinery, so that nobody sees it, and it can be put back
 * where nothing may raise.
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "access/xloginsert.h"
#include "catalog/pg_control.h"
#include "miscadmin.h"
#include "replication/syncrep.h"
#include "replication/walsender.h"

#include "base/guc.h"
#include "position/internal.h"

/* How far the transaction has come that releases its locks early. */
typedef enum EarlyPhase
{
	EARLY_NONE,					/* it does not */
	EARLY_COMMITTING,			/* synchronous_commit is not the user's */
	EARLY_VISIBLE				/* it has yet to be waited for */
} EarlyPhase;

static EarlyPhase phase = EARLY_NONE;

/* The user's synchronous_commit; and are standbys to be waited for? */
static int	user_commit;
static bool to_standbys;

static bool early_release_is_logged(void);
static bool early_release_others(void);
static void early_release_write_record(void);
static bool early_release_may(bool notifies);
static void early_release_begin(void);
static void early_release_end(void);

/*
 * The transaction is about to commit.  changes says that a call of it was to
 * change something, notifies that NOTIFYs are to be sent.  May raise; to be
 * called when all else is done that may.
 */
void
nvs_early_release_before_commit(bool changes, bool notifies)
{
	if (synchronous_commit == SYNCHRONOUS_COMMIT_OFF)
		return;
	if (changes && !early_release_is_logged() && early_release_others())
		early_release_write_record();
	if (nvs_early_lock_release && early_release_is_logged() &&
		early_release_may(notifies))
		early_release_begin();
}

/* Has the transaction written what its commit would wait for? */
static bool
early_release_is_logged(void)
{
	return TransactionIdIsValid(GetTopTransactionIdIfAny()) &&
		XactLastRecEnd != InvalidXLogRecPtr;
}

/* May there be commits that are visible and not durable? */
static bool
early_release_others(void)
{
	return nvs_shmem_available() &&
		pg_atomic_read_u32(nvs_shmem_early_commits()) != 0;
}

/*
 * Have the transaction commit as one that writes.  Its record is behind those
 * of all commits that it has seen.
 */
static void
early_release_write_record(void)
{
	static char nothing = 0;	/* a record must have some data */

	(void) GetTopTransactionId();
	XLogBeginInsert();
	XLogRegisterData(&nothing, sizeof(nothing));
	(void) XLogInsert(RM_XLOG_ID, XLOG_NOOP);
}

/* Is this a transaction that can release its locks early? */
static bool
early_release_may(bool notifies)
{
	to_standbys = SyncRepRequested() && SyncRepStandbyNames != NULL &&
		SyncRepStandbyNames[0] != '\0';
	if (to_standbys &&
		(notifies || synchronous_commit == SYNCHRONOUS_COMMIT_REMOTE_APPLY))
		return false;
	return nvs_shmem_available();
}

/* Have the commit wait for nothing.  Others know of it before they see it. */
static void
early_release_begin(void)
{
	pg_atomic_fetch_add_u32(nvs_shmem_early_commits(), 1);
	user_commit = synchronous_commit;
	synchronous_commit = SYNCHRONOUS_COMMIT_OFF;
	phase = EARLY_COMMITTING;
}

/*
 * It has been decided how the transaction ends.  Where low-water marks are
 * locks, the wait is now, before they go.  Does not raise.
 */
void
nvs_early_release_decided(bool committed)
{
	if (likely(phase == EARLY_NONE))
		return;
	synchronous_commit = user_commit;
	phase = EARLY_VISIBLE;
	if (!committed)
		early_release_end();
	else if (nvs_low_water_mark_is_lock())
		nvs_early_release_wait();
}

/*
 * The locks have gone: wait for what the commit has not waited for.  Interrupts
 * are held, as in a commit: a cancellation ends the wait for standbys with the
 * server's own warning.  Does not raise; when the log cannot be flushed the
 * server restarts, as ever.
 */
void
nvs_early_release_wait(void)
{
	XLogRecPtr	lsn = XactLastCommitEnd;

	if (likely(phase == EARLY_NONE))
		return;
	if (!to_standbys)
		nvs_low_water_mark_pass_at(lsn);
	START_CRIT_SECTION();
	XLogFlush(lsn);
	END_CRIT_SECTION();
	SyncRepWaitForLSN(lsn, true);
	early_release_end();
}

/* There is nothing left to wait for. */
static void
early_release_end(void)
{
	pg_atomic_fetch_sub_u32(nvs_shmem_early_commits(), 1);
	phase = EARLY_NONE;
}
