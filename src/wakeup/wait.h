/*
 * wakeup/wait.h
 *	  Waiting by turns: look, sleep, look again.
 */
#ifndef NVS_WAKEUP_WAIT_H
#define NVS_WAKEUP_WAIT_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "fmgr.h"

/* How long to sleep, in ms, when nobody wakes us, and when somebody does. */
#define NVS_NAP_ALONE	50
#define NVS_NAP_WOKEN	10000

/* A call that waits; part of what the module knows of it. */
typedef struct NvsWait
{
	bool		commits;		/* we may commit before we sleep */
	int64		until;			/* an uptime */
	TimestampTz look_at;		/* when to look again at the latest */

	/* Is there what we wait for?  If not, it sets look_at. */
	bool		(*look) (struct NvsWait *wait);

	/* Has somebody woken us?  NULL: whoever sets our latch. */
	bool		(*is_woken) (void);
} NvsWait;

extern void nvs_wait_init(NvsWait *wait, FunctionCallInfo fcinfo,
						  int timeout);
extern bool nvs_wait_run(NvsWait *wait);
extern void nvs_wait_connect(const NvsWait *wait);
extern void nvs_wait_finish(void);

#endif							/* NVS_WAKEUP_WAIT_H */
