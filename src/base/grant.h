/*
 * base/grant.h
 *	  GRANT and REVOKE, and what an access control list says.
 */
#ifndef NVS_BASE_GRANT_H
#define NVS_BASE_GRANT_H

#include "postgres.h"

#include "utils/acl.h"

/* Privileges on tables of a store that rows are read and changed with. */
#define NVS_ACL_READ	ACL_SELECT
#define NVS_ACL_WRITE	(ACL_SELECT | ACL_INSERT | ACL_UPDATE | ACL_DELETE)

/*
 * A relation's privileges of which a user was found to have one.  It is kept
 * with what is dropped when the relation changes.
 */
typedef struct NvsAllowed
{
	Oid			user;
	AclMode		privileges;		/* 0: nothing is known */
	uint64		changes;		/* of roles and schemas, by then */
} NvsAllowed;

extern void nvs_grant_init(void);
extern void nvs_grant_schema(const char *schema, Oid role);
extern void nvs_grant_function(const char *name, Oid role);
extern void nvs_grant_relation(bool is_grant, Oid relid, AclMode privileges,
							   Oid role);

extern Oid	nvs_function_oid(const char *name);
extern Acl *nvs_acl_of_relation(Oid relid);
extern bool nvs_acl_has_schema(Oid schema, Oid role);
extern bool nvs_acl_has_function(const char *name, Oid role);
extern AclMode nvs_acl_mask(const Acl *acl, Oid role);
extern bool nvs_may_use_relation(Oid relid, AclMode privileges);
extern void nvs_check_use_relation(Oid relid, AclMode privileges);
extern void nvs_check_use_known(NvsAllowed *allowed, Oid relid,
								AclMode privileges);
extern bool nvs_allowed(const NvsAllowed *allowed, AclMode privileges);
extern void nvs_allow(NvsAllowed *allowed, AclMode privileges, uint64 as_of);
extern uint64 nvs_rights_changes(void);

#endif							/* NVS_BASE_GRANT_H */
