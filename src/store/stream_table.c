/*
 * store/stream_table.c
 *	  Generic stream tables: which one a subject belongs to, making, dropping.
 *
 * A subject that no route takes is in the generic stream table of its type.
 * That is one of its tokens: the one behind the store's name where the subject
 * begins with that, else the first, since a subject that begins with no store's
 * name is the default store's.  "order:17" and "nvent:order:17" are of type
 * "order".  The type may be empty, as that of ":x" and of "nvent" alone.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"

#include "errors.h"
#include "base/advisory.h"
#include "base/guc.h"
#include "base/identity.h"
#include "base/text.h"
#include "position/position.h"
#include "store/grant.h"
#include "store/layout.h"
#include "store/stream_index.h"
#include "store/stream_table.h"

/* Hexadecimal digits of the hash in the name of a table. */
#define NAME_HASH_LEN	12

/* Registers table $3 of store $1 and type $2, unless it is registered. */
static const NvsStatement table_insert = {
	"INSERT INTO nvent.stream_table (store, type, table_name) "
	"VALUES ($1, $2, $3) ON CONFLICT (store, type) DO NOTHING"
};

/* Removes the table of store $1 and type $2 from the registry. */
static const NvsStatement table_delete = {
	"DELETE FROM nvent.stream_table WHERE store OPERATOR(pg_catalog.=) $1 "
	"AND type OPERATOR(pg_catalog.=) $2"
};

/* How many tables store $1 has, and whether one of them is of type $2. */
static const NvsStatement table_count = {
	"SELECT pg_catalog.count(*), COALESCE(pg_catalog.bool_or("
	"type OPERATOR(pg_catalog.=) $2), false) FROM nvent.stream_table "
	"WHERE store OPERATOR(pg_catalog.=) $1"
};

static void table_params(NvsParams *params, const char *prefix,
						 const char *type);
static bool table_registered(const char *prefix, const char *type, int64 *n);
static void table_check_count(const char *prefix, int64 n);
static void table_make(const NvsStore *store, const char *name,
					   bool versioned, List *indexes);
static uint64 table_lock_key(const char *prefix, const char *type);
static int	table_compare_keys(const void *a, const void *b);

/* Raise an error unless this can be a type: a token of a subject. */
void
nvs_stream_type_check(const char *type)
{
	size_t		len = strlen(type);

	if (len > NVS_SUBJECT_MAX_BYTES)
		ereport(ERROR,
				(errcode(ERRCODE_NVS_INVALID_SUBJECT),
				 errmsg("stream type is too long"),
				 errdetail("It has %zu bytes, and a token of a subject has "
						   "at most %d.", len, NVS_SUBJECT_MAX_BYTES)));
	if (strchr(type, ':') != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_NVS_INVALID_SUBJECT),
				 errmsg("invalid stream type \"%s\"", type),
				 errdetail("A type is one token of a subject.")));
}

/* The type of a subject that belongs to the store of this prefix. */
NvsSpan
nvs_stream_type_of(const char *prefix, const char *subject, int len)
{
	const char *end = memchr(subject, ':', len);
	NvsSpan		type;

	type.offset = 0;
	type.len = end == NULL ? len : end - subject;
	if (type.len != strlen(prefix) || memcmp(subject, prefix, type.len) != 0)
		return type;

	/* It is the store's name: take the next token, if there is one. */
	type.offset = end == NULL ? len : type.len + 1;
	end = memchr(subject + type.offset, ':', len - type.offset);
	type.len = (end == NULL ? subject + len : end) - subject - type.offset;
	return type;
}

/*
 * May subjects in a store's table of this type match the pattern?  They may
 * begin with the type even if the store is not the default store: it may have
 * been when they were written.
 */
bool
nvs_stream_type_matches(const char *prefix, const char *type,
						const NvsPattern *pattern)
{
	int			len = strlen(type);

	if (nvs_pattern_may_be(pattern, 0, type, len))
		return true;
	if (!nvs_pattern_may_be(pattern, 0, prefix, strlen(prefix)))
		return false;
	return nvs_pattern_may_be(pattern, 1, type, len) ||
		(len == 0 && pattern->ntokens == 1);
}

/* Does a table's name look as if its end were a hash? */
bool
nvs_stream_table_hashed(const char *name)
{
	size_t		len = strlen(name);
	const char *hash = name + len - NAME_HASH_LEN;

	/* Cutting at a character's end may cost up to three bytes more. */
	return len >= NAMEDATALEN - 4 && hash[-1] == '_' &&
		strspn(hash, "0123456789abcdef") == NAME_HASH_LEN;
}

/*
 * Name of the generic stream table of a type.  What is too long for a name
 * ends in a hash instead, and so does what only looks like that: no two types
 * have one name.
 */
char *
nvs_stream_table_name(const char *prefix, const char *type)
{
	char	   *name = psprintf("%s_stream_%s", prefix, type);
	int			keep;

	if (strlen(name) < NAMEDATALEN && !nvs_stream_table_hashed(name))
		return name;
	keep = pg_mbcliplen(name, strlen(name), NAMEDATALEN - NAME_HASH_LEN - 2);
	return psprintf("%.*s_%012llx", keep, name,
					(unsigned long long) (nvs_hash(type, strlen(type), 0) &
										  UINT64CONST(0xFFFFFFFFFFFF)));
}

/* Set a statement's parameters to a store's prefix and a type. */
static void
table_params(NvsParams *params, const char *prefix, const char *type)
{
	nvs_params_init(params);
	nvs_params_add(params, TEXTOID, CStringGetTextDatum(prefix), false);
	nvs_params_add(params, TEXTOID, CStringGetTextDatum(type), false);
}

/*
 * Does the registry, as it is now, have a store's table of this type?  Sets *n
 * to how many tables the store has.  Needs SPI.
 */
static bool
table_registered(const char *prefix, const char *type, int64 *n)
{
	NvsParams	params;
	NvsIdentity saved;
	Datum		row[2];
	bool		isnull[2];

	table_params(&params, prefix, type);
	nvs_become_owner(&saved);
	PushActiveSnapshot(GetLatestSnapshot());
	(void) nvs_execute_row(nvs_statement_plan(NULL, &table_count, &params,
											  NULL), &params, true,
						   CurrentMemoryContext, 2, row, isnull);
	PopActiveSnapshot();
	nvs_become_caller(&saved);
	*n = DatumGetInt64(row[0]);
	return DatumGetBool(row[1]);
}

/* Raise an error when a store that has n tables may have no more. */
static void
table_check_count(const char *prefix, int64 n)
{
	if (n >= nvs_max_stream_tables)
		ereport(ERROR,
				(errcode(ERRCODE_NVS_NO_ROUTE),
				 errmsg("store \"%s\" has no room for another stream table",
						prefix),
				 errdetail("It has %lld; nvent_store.max_stream_tables is %d.",
						   (long long) n, nvs_max_stream_tables),
				 errhint("Raise the setting, or route the subjects to one "
						 "table with nvent.route_add().")));
}

/*
 * Enter the generic stream table of a type into the registry, unless it is
 * there.  Needs SPI.
 */
void
nvs_stream_table_register(const char *prefix, const char *type)
{
	NvsParams	params;

	table_params(&params, prefix, type);
	nvs_params_add(&params, TEXTOID,
				   CStringGetTextDatum(nvs_stream_table_name(prefix, type)),
				   false);
	(void) nvs_store_registry_execute(&table_insert, &params);
}

/* The key of the lock of a table's name. */
static uint64
table_lock_key(const char *prefix, const char *type)
{
	return nvs_lock_key(nvs_store_number(prefix, strlen(prefix)), type,
						strlen(type));
}

/* For qsort(): by key. */
static int
table_compare_keys(const void *a, const void *b)
{
	uint64		x = *(const uint64 *) a;
	uint64		y = *(const uint64 *) b;

	return x < y ? -1 : x > y;
}

/*
 * Lock the names of tables that are to be made, until the end of the
 * transaction: all of them before one is made, and in an order that does not
 * depend on the call, so that no two calls wait for each other.
 */
void
nvs_stream_table_lock(const NvsStreamTable *tables, int n)
{
	uint64	   *keys = palloc(sizeof(uint64) * n);
	int			i;

	for (i = 0; i < n; i++)
		keys[i] = table_lock_key(tables[i].prefix, tables[i].type);
	qsort(keys, n, sizeof(uint64), table_compare_keys);
	for (i = 0; i < n; i++)
		nvs_lock(NVS_LOCK_TABLE, keys[i], ExclusiveLock);
	pfree(keys);
}

/*
 * Make a generic stream table as the store's owner, to whom it then belongs,
 * with the privileges that the store was granted with.  Its name, quoted, is
 * all that a caller chooses; nothing but event triggers, which are superusers',
 * runs beside the DDL.
 */
static void
table_make(const NvsStore *store, const char *name, bool versioned,
		   List *indexes)
{
	NvsIdentity saved;

	nvs_store_become_owner(store, &saved);
	nvs_layout_make_stream(store, name, versioned, indexes);
	nvs_store_grant_on(store, nvs_relation_find(store, NULL, name));
	nvs_become_caller(&saved);
}

/*
 * Make the generic stream table of a type where it is missing; whether the
 * caller may is asked before.  indexes are the names of those that it has
 * besides.  Returns its qualified name; *created, unless created is NULL, says
 * whether it was missing.  Safe when many sessions do so
 * at once, and beside one that drops the store: locks the table's name
 * exclusively and then the store shared, until the end of the transaction.
 * Needs SPI.
 */
char *
nvs_stream_table_create(const char *prefix, const char *type, bool versioned,
						List *indexes, bool *created)
{
	char	   *name = nvs_stream_table_name(prefix, type);
	NvsStore   *store;
	char	   *qualified;
	int64		n;
	bool		missing;

	PreventCommandIfReadOnly("nvent.stream_create_table()");

	/* One at a time makes it, and nobody drops the store meanwhile. */
	nvs_lock(NVS_LOCK_TABLE, table_lock_key(prefix, type), ExclusiveLock);
	nvs_store_lock(prefix, ShareLock);

	/* It may be another store than when the caller was asked. */
	store = nvs_store_require(prefix);
	nvs_store_check_writer(store);

	/* Missing is what is not registered, and what was dropped by hand. */
	qualified = nvs_qualified(store->schema, name);
	missing = !table_registered(prefix, type, &n) ||
		!OidIsValid(nvs_relation_find(store, NULL, name));
	if (created != NULL)
		*created = missing;
	if (!missing)
		return qualified;

	/* Made, and written down, so that all sessions learn of it at commit. */
	table_check_count(prefix, n);
	table_make(store, name, versioned, indexes);
	nvs_stream_table_register(prefix, type);
	return qualified;
}

/*
 * Drop the generic stream table of a type, as the store's owner; false when
 * there is none.  Only who administers the store may.  A relation of somebody
 * else that has its name stays.  Locks the table's name until the end of the
 * transaction.  Needs SPI.
 */
bool
nvs_stream_table_drop(const char *prefix, const char *type)
{
	char	   *name = nvs_stream_table_name(prefix, type);
	NvsStore   *store;
	NvsIdentity saved;
	NvsParams	params;
	int64		n;

	PreventCommandIfReadOnly("nvent.stream_drop_table()");
	store = nvs_store_find(prefix, strlen(prefix));
	if (store == NULL)
		return false;
	nvs_store_check_admin(store);
	nvs_lock(NVS_LOCK_TABLE, table_lock_key(prefix, type), ExclusiveLock);
	store = nvs_store_find(prefix, strlen(prefix));
	if (store == NULL || !table_registered(prefix, type, &n))
		return false;
	nvs_store_check_admin(store);
	nvs_store_become_owner(store, &saved);
	nvs_layout_drop(store, list_make1(name));
	nvs_become_caller(&saved);
	table_params(&params, prefix, type);
	return nvs_store_registry_execute(&table_delete, &params) > 0;
}

/*
 * Make an index of the generic stream table of a type as the store's owner;
 * false when it is there.  Only who administers the store may.  Locks the
 * table's name, the store shared, and the table against writers, until the end
 * of the transaction.  Needs SPI.
 */
bool
nvs_stream_table_index(const char *prefix, const char *type,
					   const char *index)
{
	char	   *name = nvs_stream_table_name(prefix, type);
	NvsStore   *store;
	NvsIdentity saved;
	Oid			relid = InvalidOid;
	int64		n;
	bool		made;

	PreventCommandIfReadOnly("nvent.stream_index()");
	nvs_store_check_admin(nvs_store_require(prefix));
	nvs_lock(NVS_LOCK_TABLE, table_lock_key(prefix, type), ExclusiveLock);
	nvs_store_lock(prefix, ShareLock);
	store = nvs_store_require(prefix);
	nvs_store_check_admin(store);
	if (table_registered(prefix, type, &n))
		relid = nvs_relation_lock(store, NULL, name, true, ShareLock);
	if (!OidIsValid(relid))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("store \"%s\" has no stream table of type \"%s\"",
						prefix, type),
				 errhint("Make it with nvent.stream_create_table().")));
	nvs_store_become_owner(store, &saved);
	made = nvs_stream_index_make(store, relid, index);
	nvs_become_caller(&saved);
	return made;
}
