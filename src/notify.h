/*
 * notify.h
 *	  Tells listeners of appends.
 */
#ifndef NVS_NOTIFY_H
#define NVS_NOTIFY_H

#include "postgres.h"

extern void nvs_notify_init(void);
extern void nvs_notify_append(const char *channel, const char *subject,
							  int len, int64 position);

#endif							/* NVS_NOTIFY_H */
