/*
 * base/identity.h
 *	  Who we are: the extension's objects, owners, and acting as one.
 */
#ifndef NVS_BASE_IDENTITY_H
#define NVS_BASE_IDENTITY_H

#include "postgres.h"

/* Who we were before one of the functions below that take it. */
typedef struct NvsIdentity
{
	Oid			user;
	int			context;
	int			nestlevel;
} NvsIdentity;

extern void nvs_identity_init(void);
extern bool nvs_is_installed(void);
extern bool nvs_hold_extension(void);
extern bool nvs_hold_extension_nowait(void);
extern void nvs_require_extension(void);
extern Oid	nvs_namespace(void);
extern Oid	nvs_registry_table(const char *name);
extern Oid	nvs_relation_owner(Oid relid);
extern void nvs_become_owner(NvsIdentity *saved);
extern void nvs_become_role(Oid role, NvsIdentity *saved);
extern void nvs_pin_setting(const char *name, const char *value);
extern void nvs_pin_search_path(NvsIdentity *saved);
extern void nvs_become_caller(const NvsIdentity *saved);

#endif							/* NVS_BASE_IDENTITY_H */
