/*
 * base/guc.h
 *	  Settings, all named nvent_store.*.
 */
#ifndef NVS_BASE_GUC_H
#define NVS_BASE_GUC_H

/* How listeners are notified of appends. */
typedef enum NvsNotifyMode
{
	NVS_NOTIFY_WORKER,			/* by the worker, after commit */
	NVS_NOTIFY_INLINE,			/* native NOTIFY in the appending transaction */
	NVS_NOTIFY_OFF				/* not notified */
} NvsNotifyMode;

/* What the notifier does with who appends for too long. */
typedef enum NvsAppendAgeAction
{
	NVS_APPEND_AGE_LOG,			/* name it in the log */
	NVS_APPEND_AGE_TERMINATE	/* end its session */
} NvsAppendAgeAction;

extern bool nvs_auto_create;
extern char *nvs_default_store;
extern bool nvs_early_lock_release;
extern int	nvs_maintenance_interval;
extern int	nvs_maintenance_lock_timeout;
extern int	nvs_maintenance_timeout;
extern int	nvs_max_append_age;
extern int	nvs_max_append_age_action;
extern int	nvs_max_databases;
extern int	nvs_max_stream_tables;
extern int	nvs_max_wait;
extern int	nvs_notify;
extern int	nvs_ring_size;
extern int	nvs_publish_interval;
extern int	nvs_worker_idle_timeout;
extern int	nvs_worker_naptime;

/* No setting: is there a launcher of workers, and memory to tell them by? */
extern bool nvs_worker_possible;

extern void nvs_guc_init(void);

#endif							/* NVS_BASE_GUC_H */
