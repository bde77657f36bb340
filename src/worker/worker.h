/*
 * worker/worker.h
 *	  What happens by itself: launcher, notifiers, maintenance.
 */
#ifndef NVS_WORKER_WORKER_H
#define NVS_WORKER_WORKER_H

#include "postgres.h"

#include "nodes/nodes.h"
#include "utils/elog.h"

#include "compat.h"
#include "position/shmem.h"

/* Initialize; in the postmaster only. */
extern void nvs_launcher_init(void);
extern void nvs_utility_init(void);

/* worker/session.c: what the processes of a database have in common */
extern void nvs_session_start(NvsProcessKind my_kind, Oid database);
extern bool nvs_session_claim(void);
pg_noreturn extern void nvs_session_leave(void);
extern void nvs_session_turn(void);
extern bool nvs_session_is_installed(void);
extern bool nvs_session_try(void (*function) (void *arg), void *arg,
							ErrorData **error);

/* worker/hold.c */
extern NvsDatabase *nvs_hold_database(Node *statement);
extern void nvs_hold_begin(NvsDatabase *db);
extern void nvs_hold_end(NvsDatabase *db);

/* worker/maintain.c */
extern int64 nvs_maintain_pass(int64 budget, const char *prefix);

#endif							/* NVS_WORKER_WORKER_H */
