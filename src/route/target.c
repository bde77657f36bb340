/*
 * route/target.c
 *	  The relation of a route, compiled: its fields, keys and plans.
 *
 * A target is made when its route is first used, and its columns are compiled
 * when they are first asked for.  A relcache callback marks it as stale and
 * does nothing but that: it may run inside of any access to the catalog.  The
 * next use makes another target.
 */
#include "postgres.h"

#include "access/relation.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "rewrite/rewriteHandler.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "errors.h"
#include "base/grant.h"
#include "base/identity.h"
#include "base/inval.h"
#include "base/text.h"
#include "position/xact.h"
#include "route/route.h"

/*
 * A column that a kind cannot do without.  Of a column of another type than it
 * should have, casts and operators might be somebody else's, also where
 * maintenance compares it and nobody has asked for the table.
 */
typedef struct TargetColumn
{
	NvsKind		kind;
	const char *column;
	Oid			type;			/* InvalidOid: any */
} TargetColumn;

static const TargetColumn target_columns[] = {
	{NVS_KIND_STREAM, "id", INT8OID},
	{NVS_KIND_STREAM, "ts", INT8OID},
	{NVS_KIND_STREAM, "type", TEXTOID},
	{NVS_KIND_ENTRY, "version", InvalidOid},
	{NVS_KIND_ENTRY, "score", FLOAT8OID},
	{NVS_KIND_KV, "key", TEXTOID},
	{NVS_KIND_KV, "value", JSONBOID},
	{NVS_KIND_KV, "expires_at", TIMESTAMPTZOID},
	{NVS_KIND_LOCK, "name", TEXTOID},
	{NVS_KIND_LOCK, "token", INT8OID},
	{NVS_KIND_LOCK, "acquired_at", TIMESTAMPTZOID},
	{NVS_KIND_LOCK, "expires_at", TIMESTAMPTZOID},
	{NVS_KIND_SNAPSHOT, "id", TEXTOID},
	{NVS_KIND_SNAPSHOT, "versions", JSONBOID}
};

static NvsTarget *target_list = NULL;	/* all that belong to a route */
static uint64 schema_changes = 0;	/* that this backend was told of */

static void target_callback(Datum arg, Oid relid);
static void target_schema_callback(Datum arg, int cacheid, uint32 hash);
static void target_drop(NvsTarget *target);
static Oid	target_find_relation(const NvsRoute *route);
static void target_enter(NvsTarget *target, bool valid);
static void target_show(const NvsTarget *target);
static NvsTarget *target_make(NvsRoute *route, Oid relid);
static void target_compile(NvsTarget *target);
static void target_check_columns(NvsTarget *target);
pg_noreturn static void target_fail_column(const NvsTarget *target,
										   const char *column, Oid type);
static Oid	target_check_default(Oid relid, AttrNumber attnum,
								 const NvsStore *store);
static char *target_default_store(Oid relid, AttrNumber attnum, Oid *function);
static void target_require_default(const NvsTarget *target);
static const char *target_whole_column(NvsKind kind);
static void target_compile_keys(NvsTarget *target);
static void target_add_key(NvsTarget *target, const char *column, int capture,
						   bool filters);
static void target_compile_aliases(NvsTarget *target);

/* Register the callbacks that mark targets as stale. */
void
nvs_target_init(void)
{
	nvs_inval_register(target_callback);
	CacheRegisterSyscacheCallback(NAMESPACEOID, target_schema_callback,
								  (Datum) 0);
}

/* A relation changed: what was compiled from it is not to be used again. */
static void
target_callback(Datum arg pg_attribute_unused(), Oid relid)
{
	NvsTarget  *target;

	for (target = target_list; target != NULL; target = target->next)
		if (relid == InvalidOid || target->relid == relid)
			target->valid = false;
}

/* A schema changed: statements that name it may mean other relations now. */
static void
target_schema_callback(Datum arg, int cacheid pg_attribute_unused(),
					   uint32 hash pg_attribute_unused())
{
	schema_changes++;
	target_callback(arg, InvalidOid);
}

/* Take a target from its route, and free it when nobody can be using it. */
static void
target_drop(NvsTarget *target)
{
	NvsTarget **link = &target_list;

	while (*link != NULL && *link != target)
		link = &(*link)->next;
	if (*link != NULL)
		*link = target->next;
	target->route->target = NULL;
	nvs_defer_free(target->cxt, target->plans);
}

/* Drop every target, before the routes that they belong to are freed. */
void
nvs_target_drop_all(void)
{
	while (target_list != NULL)
		target_drop(target_list);
}

/*
 * The target of a route, compiled now unless it is there; NULL when there is no
 * such relation.  It is locked as its use asks for, and is as it is compiled
 * then.  What is only looked at may change and go at any time.
 */
NvsTarget *
nvs_target_get(NvsRoute *route, NvsUse use)
{
	LOCKMODE	mode = nvs_use_lock_mode(use);
	NvsTarget  *target = route->target;

	if (mode == NoLock && target != NULL && target->valid &&
		target->map != NULL)
		return target;
	target = nvs_target_lock(route, mode == NoLock ? AccessShareLock : mode);
	if (target == NULL)
		return NULL;
	if (unlikely(target->map == NULL))
		target_compile(target);
	if (mode == NoLock)
		UnlockRelationOid(target->relid, AccessShareLock);
	if (use == NVS_USE_READ)
		target_show(target);
	return target;
}

/*
 * The target of a route, which need not be compiled, whose relation is locked
 * in this mode until the end of the transaction: nobody alters it, and nothing
 * else gets its name.  NULL when there is none.  Raises 42P16 when it is not
 * the store's, and 42501 when the caller may do nothing with it that takes such
 * a lock.
 */
NvsTarget *
nvs_target_lock(NvsRoute *route, LOCKMODE mode)
{
	AclMode		privileges = mode == AccessShareLock ? NVS_ACL_WRITE :
		NVS_ACL_WRITE & ~NVS_ACL_READ;

	if (mode != AccessShareLock)
		nvs_xact_changes();
	for (;;)
	{
		NvsTarget  *target = route->target;
		uint64		changes = schema_changes;
		Oid			relid;

		if (target != NULL && target->valid)
		{
			nvs_check_use_known(&target->allowed, target->relid, privileges);
			LockRelationOid(target->relid, mode);
			/* Whoever we waited for may have changed or dropped it. */
			if (likely(target->valid))
				return target;
			UnlockRelationOid(target->relid, mode);
		}

		/*
		 * Looked up anew.  Rights come before the lock, lest who has none
		 * makes others wait.
		 */
		if (target != NULL)
			target_drop(target);
		relid = target_find_relation(route);
		if (OidIsValid(relid))
			nvs_check_use_relation(relid, privileges);
		relid = nvs_relation_lock(route->store, route->schema, route->table,
								  route->pattern == NULL, mode);
		if (!OidIsValid(relid))
			return NULL;
		target_enter(target_make(route, relid), changes == schema_changes);
	}
}

/* Have a target become its route's.  Does not fail. */
static void
target_enter(NvsTarget *target, bool valid)
{
	MemoryContextSetParent(target->cxt, CacheMemoryContext);
	target->valid = valid;
	target->next = target_list;
	target_list = target;
	target->route->target = target;
}

/*
 * Have a locked relation be read with a snapshot that shows it, and lock what
 * reading it reads.
 */
static void
target_show(const NvsTarget *target)
{
	ListCell   *lc;

	if (unlikely(target->compound))
	{
		foreach(lc, nvs_relation_lock_parts(target->relid))
			nvs_relation_show(lfirst_oid(lc));
	}
	else if (ActiveSnapshotSet() &&
			 XidInMVCCSnapshot(target->writer, GetActiveSnapshot()))
		nvs_relation_show(target->relid);
}

/* OID of the relation that a route names; InvalidOid when there is none. */
static Oid
target_find_relation(const NvsRoute *route)
{
	return nvs_relation_find(route->store, route->schema, route->table);
}

/*
 * Is the relation of a route the store's, and may the caller read or change it?
 * Not if it is gone.
 */
bool
nvs_target_may_use(const NvsRoute *route)
{
	Oid			relid = target_find_relation(route);

	return OidIsValid(relid) &&
		nvs_relation_is_own(route->store, relid, route->pattern == NULL) &&
		nvs_may_use_relation(relid, NVS_ACL_WRITE);
}

/* Raise the error that the relation of a route does not exist. */
void
nvs_target_missing(const NvsRoute *route)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_TABLE),
			 errmsg("relation \"%s.%s\" of store \"%s\" does not exist",
					route->schema != NULL ? route->schema :
					route->store->schema, route->table,
					route->store->prefix),
			 route->pattern != NULL ?
			 errhint("Make the table, or drop the route with "
					 "nvent.route_drop().") :
			 route->kind == NVS_KIND_STREAM ?
			 errhint("Run SELECT nvent.stream_drop_table(), and the next "
					 "append makes the table anew.") :
			 errhint("Run SELECT nvent.store_migrate(%s).",
					 quote_literal_cstr(route->store->prefix))));
}

/*
 * Make a target of a route and a relation, which is locked: in a context of its
 * own, below that of the caller.  An error when the store may not use it.
 */
static NvsTarget *
target_make(NvsRoute *route, Oid relid)
{
	MemoryContext cxt = AllocSetContextCreate(CurrentMemoryContext,
											  "nvent_store target",
											  ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(cxt);
	NvsTarget  *target = palloc0(sizeof(NvsTarget));

	target->route = route;
	target->cxt = cxt;
	target->kind = route->kind;
	target->store = route->store;
	target->relid = relid;
	target->compound = nvs_relation_is_compound(relid);
	target->writer = nvs_relation_writer(relid);
	target->name = nvs_qualified(get_namespace_name(get_rel_namespace(relid)),
								 get_rel_name(relid));
	target->notify = route->notify;
	target->plans = nvs_planset_create(cxt);
	nvs_planset_define(target->plans, "table", target->name);
	if (route->kind == NVS_KIND_STREAM)
		target->draws = target_check_default(relid, get_attnum(relid, "id"),
											 target->store);
	MemoryContextSwitchTo(old);
	return target;
}

/*
 * Compile the columns of a target, whose relation is locked; an error when it
 * cannot serve the kind.  Then it has no map, and the next call tries anew.
 */
static void
target_compile(NvsTarget *target)
{
	MemoryContext cxt = AllocSetContextCreate(CurrentMemoryContext,
											  "nvent_store target columns",
											  ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(cxt);
	NvsTarget	compiled = *target;

	compiled.map = nvs_fields_compile(target->relid,
									  target->kind == NVS_KIND_ENTRY);
	target_check_columns(&compiled);
	target_compile_keys(&compiled);
	target_compile_aliases(&compiled);
	MemoryContextSwitchTo(old);

	/* From here on nothing fails. */
	MemoryContextSetParent(cxt, target->cxt);
	target->map = compiled.map;
	target->keys = compiled.keys;
	target->nkeys = compiled.nkeys;
}

/* Raise an error when the relation lacks a column that the kind needs. */
static void
target_check_columns(NvsTarget *target)
{
	int			i;

	for (i = 0; i < lengthof(target_columns); i++)
	{
		const TargetColumn *r = &target_columns[i];
		NvsField   *field;

		if (r->kind != target->kind)
			continue;
		field = nvs_fields_column(target->map, r->column);
		if (field == NULL ||
			(OidIsValid(r->type) && field->type != r->type))
			target_fail_column(target, r->column, r->type);
	}
}

/* Raise the error that a column is missing, of a type if that is given. */
static void
target_fail_column(const NvsTarget *target, const char *column, Oid type)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_TABLE_DEFINITION),
			 errmsg("relation %s cannot be routed to", target->name),
			 errdetail("It has no column \"%s\"%s%s.", column,
					   OidIsValid(type) ? " of type " : "",
					   OidIsValid(type) ? format_type_be(type) : "")));
}

/*
 * Raise an error when a relation that is to hold events of a store draws the
 * positions of another: readers would pass them.  Returns the function that
 * draws those of the store; InvalidOid when its ids are something else.
 */
static Oid
target_check_default(Oid relid, AttrNumber attnum, const NvsStore *store)
{
	char	   *other = NULL;
	Oid			function;

	if (attnum != InvalidAttrNumber)
		other = target_default_store(relid, attnum, &function);
	if (other == NULL)
		return InvalidOid;
	if (strcmp(other, store->prefix) == 0)
		return function;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_TABLE_DEFINITION),
			 errmsg("relation \"%s\" cannot hold events of store \"%s\"",
					get_rel_name(relid), store->prefix),
			 errdetail("The default of column \"%s\" draws positions of store "
					   "\"%s\".", get_attname(relid, attnum, false), other),
			 errhint("Have it be nvent.next_position(%s).",
					 quote_literal_cstr(store->prefix))));
}

/*
 * The store for which the default of a column draws positions, by *function;
 * NULL when it does not, or not for a fixed one.
 */
static char *
target_default_store(Oid relid, AttrNumber attnum, Oid *function)
{
	Relation	rel = relation_open(relid, AccessShareLock);
	Node	   *node = build_column_default(rel, attnum);
	FuncExpr   *call = (FuncExpr *) node;
	Const	   *store;
	char	   *name;

	relation_close(rel, AccessShareLock);
	if (node == NULL || !IsA(node, FuncExpr) || list_length(call->args) != 1 ||
		get_func_namespace(call->funcid) != nvs_namespace())
		return NULL;
	name = get_func_name(call->funcid);
	store = linitial(call->args);
	if (strcmp(name, "next_position") != 0 || !IsA(store, Const) ||
		store->constisnull || store->consttype != TEXTOID)
		return NULL;
	*function = call->funcid;
	return TextDatumGetCString(store->constvalue);
}

/* Raise an error when ids are drawn otherwise than as a store's positions. */
static void
target_require_default(const NvsTarget *target)
{
	NvsField   *id = nvs_fields_column(target->map, "id");
	char	   *prefix = quote_literal_cstr(target->store->prefix);
	Oid			function;

	if (target_default_store(target->relid, id->attnum, &function) == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TABLE_DEFINITION),
				 errmsg("relation %s cannot be routed to", target->name),
				 errdetail("Column \"id\" does not draw positions, and "
						   "readers would pass events that are inserted with "
						   "other ids."),
				 errhint("Run ALTER TABLE %s ALTER COLUMN id SET DEFAULT "
						 "nvent.next_position(%s).", target->name, prefix)));
}

/* Name of the column that holds all of a subject or key. */
static const char *
target_whole_column(NvsKind kind)
{
	return kind == NVS_KIND_STREAM ? "subject" : "key";
}

/*
 * Set the key columns, which tell the rows of one subject from those of
 * others, in the current memory context; an error when they cannot.
 */
static void
target_compile_keys(NvsTarget *target)
{
	const NvsPattern *pattern = target->route->pattern;
	const char *whole = target_whole_column(target->kind);
	bool		has_whole = false;
	int			ncaptures = 0;
	int			i;

	if (target->kind != NVS_KIND_STREAM && target->kind != NVS_KIND_ENTRY)
		return;

	/* The whole subject, and what the route's pattern captures of it. */
	if (pattern != NULL)
		ncaptures = nvs_pattern_capture_count(pattern);
	target->keys = palloc(sizeof(NvsKey) * (ncaptures + 1));
	if (nvs_fields_column(target->map, whole) != NULL)
	{
		has_whole = true;
		target_add_key(target, whole, -1, true);
	}
	for (i = 0; i < ncaptures; i++)
		target_add_key(target, nvs_pattern_capture_name(pattern, i), i,
					   !has_whole);
	if (has_whole)
		return;
	if (pattern == NULL)
		target_fail_column(target, whole, InvalidOid);

	/* Without a column for the whole, every wildcard must be captured. */
	for (i = 0; i < pattern->ntokens; i++)
		if (pattern->tokens[i].kind == NVS_TOKEN_ONE ||
			pattern->tokens[i].kind == NVS_TOKEN_REST)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_TABLE_DEFINITION),
					 errmsg("relation %s cannot tell the subjects of its "
							"route apart", target->name),
					 errhint("Give it a column \"%s\", or capture each "
							 "wildcard of the pattern in a column.",
							 whole)));
}

/*
 * Have a column, which is no field of records any more, hold a capture, -1 for
 * the whole subject.  filters says whether it is part of the WHERE clause.
 */
static void
target_add_key(NvsTarget *target, const char *column, int capture,
			   bool filters)
{
	NvsField   *field = nvs_fields_reserve(target->map, column);
	NvsKey	   *key = &target->keys[target->nkeys];

	if (field == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("column \"%s\" of relation %s does not exist",
						column, target->name),
				 errdetail("The pattern of its route captures it.")));
	if (field->kind != NVS_FIELD_TEXT && field->kind != NVS_FIELD_OTHER)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TABLE_DEFINITION),
				 errmsg("column \"%s\" of relation %s cannot hold a part of "
						"a subject", column, target->name),
				 errhint("Use a column of type text.")));
	key->field = field;
	key->capture = capture;
	key->filters = filters;
	target->nkeys++;
}

/* Enter the aliases of a route, {"field": "column"}, into the field map. */
static void
target_compile_aliases(NvsTarget *target)
{
	const JsonbContainer *jc;
	uint32		i;

	if (target->route->aliases == NULL)
		return;
	jc = &target->route->aliases->root;
	for (i = 0; i < JsonContainerSize(jc); i++)
	{
		NvsJsonbChild name = nvs_jsonb_child(jc, i);
		NvsJsonbChild column = nvs_jsonb_child(jc, i + JsonContainerSize(jc));

		if (column.type != JENTRY_ISSTRING)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("alias \"%.*s\" must be the name of a column",
							(int) name.len, name.data)));
		nvs_fields_alias(target->map, name.data, name.len,
						 pnstrdup(column.data, column.len));
	}
}

/* What a key column holds of the subject that was found: *len bytes. */
const char *
nvs_target_key_text(const NvsResolved *resolved, const NvsKey *key, int *len)
{
	const NvsCapture *capture;

	if (key->capture < 0)
	{
		*len = resolved->len;
		return resolved->subject;
	}
	capture = &resolved->captures[key->capture];
	*len = capture->len;
	return resolved->subject + capture->offset;
}

/* Add the values of all key columns, in their order, to the parameters. */
void
nvs_target_params(const NvsResolved *resolved, NvsParams *params)
{
	const NvsTarget *target = resolved->target;
	int			i;

	for (i = 0; i < target->nkeys; i++)
	{
		const NvsKey *key = &target->keys[i];
		int			len;
		const char *s = nvs_target_key_text(resolved, key, &len);

		nvs_params_add(params, key->field->type,
					   nvs_field_text_datum(key->field, s, len), false);
	}
}

/*
 * Append the condition on the key columns to a statement that has their values,
 * as nvs_target_params() adds them, as its first parameters.
 */
void
nvs_target_where(const NvsTarget *target, StringInfo sql)
{
	const char *and = "";
	int			i;

	for (i = 0; i < target->nkeys; i++)
	{
		if (!target->keys[i].filters)
			continue;
		appendStringInfo(sql, "%s%s OPERATOR(pg_catalog.=) $%d", and,
						 target->keys[i].field->quoted, i + 1);
		and = " AND ";
	}
	if (*and == '\0')
		appendStringInfoString(sql, "true");
}

/* Is a field's column one of the key columns? */
bool
nvs_target_is_key(const NvsTarget *target, const NvsField *field)
{
	int			i;

	for (i = 0; i < target->nkeys; i++)
		if (target->keys[i].field == field)
			return true;
	return false;
}

/*
 * Raise an error unless a relation, which is locked, can serve a route of this
 * pattern and these aliases.  Returns the pattern's shape; *apart says whether
 * the relation could serve other patterns beside it.
 */
char *
nvs_target_check(NvsKind kind, const NvsStore *store, const char *pattern,
				 Oid relid, Jsonb *aliases, bool *apart)
{
	NvsRoute	route;
	NvsTarget  *target;

	/* Whether the target can be compiled. */
	memset(&route, 0, sizeof(route));
	route.store = store;
	route.kind = kind;
	route.pattern = nvs_pattern_compile(pattern, strlen(pattern));
	route.aliases = aliases;
	route.notify = -1;
	target = target_make(&route, relid);
	target_compile(target);

	/* What an existing route may have, but no new one. */
	if (kind == NVS_KIND_STREAM)
		target_require_default(target);
	if (get_rel_persistence(relid) == RELPERSISTENCE_TEMP)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TABLE_DEFINITION),
				 errmsg("relation %s cannot be routed to", target->name),
				 errdetail("It is temporary: no other session can use it.")));
	*apart = nvs_fields_column(target->map, target_whole_column(kind)) != NULL;
	MemoryContextDelete(target->cxt);
	return nvs_pattern_shape(route.pattern);
}

/* The pattern of a target's route; NULL for a store's own table. */
const char *
nvs_target_pattern(const NvsTarget *target)
{
	return target->route->pattern == NULL ? NULL :
		target->route->pattern_text;
}
