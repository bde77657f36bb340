/*
 * route/draw.c
 *	  Who draws positions, and for which store.
 *
 * Who draws holds back the readers of a store until his transaction ends, so
 * it takes the right to add rows to one of its tables of events.  That is
 * looked at once in a transaction for a store and a user.
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"

#include "compat.h"
#include "errors.h"
#include "base/arg.h"
#include "base/guc.h"
#include "base/identity.h"
#include "position/position.h"
#include "route/route.h"

PG_FUNCTION_INFO_V1(nvs_next_position);
PG_FUNCTION_INFO_V1(nvs_safe_position);

/* Who was allowed last to draw, and for which store. */
static LocalTransactionId allowed_in = InvalidLocalTransactionId;
static Oid	allowed_user = InvalidOid;
static char allowed_store[NAMEDATALEN];
static int	allowed_len = 0;
static uint32 allowed_number = 0;

static void draw_allow(const char *prefix, int len);
static void draw_check_rights(const NvsStore *store);
static bool draw_may_insert(const NvsRoute *route);

/*
 * nvent.next_position(store): a position for a row that this transaction
 * inserts into the store.
 */
Datum
nvs_next_position(PG_FUNCTION_ARGS)
{
	text	   *store;
	uint32		number;
	int64		position;

	NVS_REQUIRE_ARG(0, "store");
	store = PG_GETARG_TEXT_PP(0);
	number = nvs_draw_require(VARDATA_ANY(store), VARSIZE_ANY_EXHDR(store));
	nvs_position_draw(number, &position, 1);
	PG_RETURN_INT64(position);
}

/*
 * Draw n positions, in ascending order, for rows that this transaction inserts
 * into a target whose ids are positions: as its default would, and for who may
 * execute that.
 */
void
nvs_draw_positions(const NvsTarget *target, int64 *positions, int n)
{
	const char *prefix = target->store->prefix;

	if (!nvs_may_execute(target->draws, GetUserId()))
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_FUNCTION,
					   get_func_name(target->draws));
	nvs_position_draw(nvs_draw_require(prefix, strlen(prefix)), positions, n);
}

/*
 * Raise an error unless the current user may draw for a store; returns its
 * number.
 */
uint32
nvs_draw_require(const char *prefix, int len)
{
	if (allowed_in != nvs_transaction_id() || allowed_user != GetUserId() ||
		allowed_len != len || memcmp(allowed_store, prefix, len) != 0)
		draw_allow(prefix, len);
	return allowed_number;
}

/* Let the current user draw for a store until he ends; an error if not. */
static void
draw_allow(const char *prefix, int len)
{
	char	   *name = pnstrdup(prefix, len);

	PreventCommandIfReadOnly("nvent.next_position()");
	allowed_in = InvalidLocalTransactionId;
	nvs_require_extension();
	draw_check_rights(nvs_store_require(name));
	strlcpy(allowed_store, name, NAMEDATALEN);
	allowed_len = len;
	allowed_number = nvs_store_number(prefix, len);
	allowed_user = GetUserId();
	allowed_in = nvs_transaction_id();
	pfree(name);
}

/* Raise an error unless the current user may add rows to a store's streams. */
static void
draw_check_rights(const NvsStore *store)
{
	ListCell   *lc;

	foreach(lc, nvs_route_list(store))
		if (draw_may_insert(lfirst(lc)))
		return;
	if (superuser())
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("permission denied to draw positions of store \"%s\"",
					store->prefix),
			 errdetail("It takes the right to INSERT into one of its tables "
					   "of events.")));
}

/* May the current user add rows to the relation of a route of streams? */
static bool
draw_may_insert(const NvsRoute *route)
{
	Oid			relid;

	if (route->kind != NVS_KIND_STREAM)
		return false;
	relid = nvs_relation_find(route->store, route->schema, route->table);
	return OidIsValid(relid) &&
		nvs_relation_is_own(route->store, relid, route->pattern == NULL) &&
		(pg_class_aclcheck(relid, GetUserId(), ACL_INSERT) == ACLCHECK_OK ||
		 pg_attribute_aclcheck_all(relid, GetUserId(), ACL_INSERT,
								   ACLMASK_ANY) == ACLCHECK_OK);
}

/* nvent.safe_position(store) */
Datum
nvs_safe_position(PG_FUNCTION_ARGS)
{
	char	   *prefix = PG_ARGISNULL(0) ? pstrdup(nvs_default_store) :
		text_to_cstring(PG_GETARG_TEXT_PP(0));
	uint32		number = nvs_store_number(prefix, strlen(prefix));
	int64		safe;

	nvs_require_extension();
	/* The default store is made by the first write: until then it is empty. */
	if (!PG_ARGISNULL(0))
		(void) nvs_store_require(prefix);
	if (!nvs_position_snapshot_is_kept())
		PG_RETURN_INT64(nvs_position_safe(number));
	nvs_spi_begin();
	safe = nvs_position_push_snapshot(number);
	PopActiveSnapshot();
	nvs_spi_end();
	PG_RETURN_INT64(safe);
}
