/*
 * wakeup/notify.h
 *	  Tells listeners of appends and jobs.
 */
#ifndef NVS_WAKEUP_NOTIFY_H
#define NVS_WAKEUP_NOTIFY_H

#include "postgres.h"

extern void nvs_notify_init(void);

extern int	nvs_notify_mode(int route_mode);
extern const char *nvs_notify_name(int mode);
extern void nvs_notify_append(int mode, uint32 store, const char *channel,
							  const char *subject, int len, int64 position,
							  int count);

extern void nvs_notify_queue(int mode, uint32 store, const char *channel,
							 const char *queue);
extern void nvs_notify_jobs_drawn(int count);

extern void nvs_notify_send(const char *channel, const char *subject,
							bool is_queue, int64 position);

#endif							/* NVS_WAKEUP_NOTIFY_H */
