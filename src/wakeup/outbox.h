/*
 * wakeup/outbox.h
 *	  What the worker took from the ring and has yet to send.
 */
#ifndef NVS_WAKEUP_OUTBOX_H
#define NVS_WAKEUP_OUTBOX_H

#include "postgres.h"

#include "nodes/pg_list.h"

#include "position/position.h"

extern void nvs_outbox_init(NvsDatabase *db);
extern bool nvs_outbox_collect(NvsDatabase *db);
extern void nvs_outbox_request_resync(NvsDatabase *db);
extern bool nvs_outbox_has_pending(void);
extern bool nvs_outbox_is_due(const NvsPositionWatch *watch);
extern bool nvs_outbox_resync_is_due(const NvsPositionWatch *watch);
extern void nvs_outbox_send(const NvsPositionWatch *watch,
							const List *channels);
extern void nvs_outbox_sent(const NvsPositionWatch *watch);

#endif							/* NVS_WAKEUP_OUTBOX_H */
