/*
 * position/xact.h
 *	  What is done when a transaction ends.
 */
#ifndef NVS_POSITION_XACT_H
#define NVS_POSITION_XACT_H

#include "postgres.h"

/* How a transaction ended. */
typedef enum NvsXactOutcome
{
	NVS_XACT_COMMITTED,
	NVS_XACT_PREPARED,
	NVS_XACT_ABORTED
} NvsXactOutcome;

/* What there is to know of a transaction that has ended. */
typedef struct NvsXactEnd
{
	NvsXactOutcome outcome;
	bool		appended;		/* it had a low-water mark */
	uint64		ndrawn;			/* positions that it drew */
} NvsXactEnd;

/*
 * What a module above us does in the phases of position/xact.c; NULL for
 * nothing.  Levels are nesting levels of the transaction, 1 for the outermost.
 */
typedef struct NvsXactHandlers
{
	void		(*before_commit) (void);
	void		(*before_prepare) (void);
	void		(*after_locks) (const NvsXactEnd *end);
	void		(*before_subcommit) (int level);
	void		(*after_subabort) (int level);
} NvsXactHandlers;

extern void nvs_xact_init(void);
extern void nvs_xact_register(const NvsXactHandlers *handlers);
extern void nvs_xact_changes(void);
extern bool nvs_xact_is_changing(void);
extern void nvs_xact_notifies(void);

#endif							/* NVS_POSITION_XACT_H */
