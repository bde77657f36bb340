/*
 * route/binding.c
 *	  From a subject to the queues that are bound to it.
 *
 * Rows of {queue_bindings} bind queues to patterns: to those of subjects that
 * are published, or to those of events that are appended.  The rows of a store
 * are read when it is first asked for, and again when its tables of queues have
 * changed: each of the two kinds becomes a trie, in which a subject meets all
 * patterns that match it.  An append to a store without such a row asks for no
 * more than that.
 *
 * Everybody has the same bindings, as everybody has the same routes: they are
 * read by the access method, without rights, policies or anybody's code.  Who
 * may write one is said by the table's privileges and by its trigger; what
 * comes of one is done as the caller, and to him a queue that he cannot see is
 * none.
 *
 * A table in the place of one of these that is not the store's binds nothing:
 * in a store of an older layout anybody may have made one.
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/table.h"
#include "access/tableam.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "storage/lmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "base/inval.h"
#include "base/plan.h"
#include "route/binding.h"
#include "subject/trie.h"

/* The tables that bindings are read from. */
enum
{
	TABLE_BINDINGS,
	TABLE_QUEUES,
	TABLES
};

/* What is bound. */
typedef enum BindingKind
{
	BINDING_PUBLISHED,
	BINDING_APPENDED,
	BINDING_KINDS
} BindingKind;

/* The bindings of a store. */
typedef struct StoreBindings
{
	char		prefix[NAMEDATALEN];	/* hash key */
	struct StoreBindings *next; /* list of all, for invalidation */
	uint64		generation;		/* of the store */
	bool		valid;			/* no table has changed since */
	Oid			relids[TABLES]; /* InvalidOid: there is none */
	MemoryContext cxt;			/* of the tries; NULL: not read yet */
	NvsTrie    *tries[BINDING_KINDS];	/* NULL: nothing is bound */
	List	   *all;			/* NvsBinding */
} StoreBindings;

/* A table that is read. */
typedef struct BindingScan
{
	Relation	rel;
	Snapshot	snapshot;
	TableScanDesc scan;
	TupleTableSlot *slot;
} BindingScan;

/* A queue, by its number. */
typedef struct BoundQueue
{
	int32		number;			/* hash key */
	char	   *name;
} BoundQueue;

/* Bindings that match, each queue once. */
typedef struct BindingMatch
{
	const char *type;			/* NULL: whatever it is */
	int			len;
	List	   *found;			/* NvsBinding */
} BindingMatch;

static const char *const binding_tables[TABLES] = {
	"queue_bindings", "queues"
};

void		(*nvs_binding_deliver) (const NvsDelivery *delivery) = NULL;

static HTAB *bindings_by_store = NULL;	/* StoreBindings */
static StoreBindings *all_bindings = NULL;
static uint64 changes = 0;		/* of any relation, that we were told of */

/* The store that was asked for last, which most calls use again. */
static const NvsStore *last_store = NULL;
static StoreBindings *last_bindings = NULL;

static void binding_callback(Datum arg, Oid relid);
static StoreBindings *bindings_of(const NvsStore *store);
static StoreBindings *bindings_known(const NvsStore *store);
static void bindings_read(StoreBindings *bindings, const NvsStore *store);
static Oid	bindings_lock_table(const NvsStore *store, const char *table);
static void bindings_read_rows(StoreBindings *fresh);
static void bindings_add(StoreBindings *fresh, HTAB *queues,
						 BindingScan *scan);
static HTAB *bindings_read_queues(Oid relid);
static void scan_begin(BindingScan *scan, Oid relid);
static Datum scan_column(const BindingScan *scan, const char *name, Oid type,
						 bool *isnull);
static void scan_end(BindingScan *scan);
static List *binding_types(Datum types);
static List *bindings_match(const NvsStore *store, BindingKind kind,
							const char *subject, int len, BindingMatch *match);
static void binding_take(void *payload, void *arg);
static bool binding_takes_type(const NvsBinding *binding,
							   const BindingMatch *match);
static int	binding_compare(const ListCell *a, const ListCell *b);

/* Register the callback that has bindings read again. */
void
nvs_binding_init(void)
{
	nvs_inval_register(binding_callback);
}

/* A relation changed: what was read from it may have. */
static void
binding_callback(Datum arg pg_attribute_unused(), Oid relid)
{
	StoreBindings *bindings;
	int			i;

	changes++;
	for (bindings = all_bindings; bindings != NULL; bindings = bindings->next)
		for (i = 0; i < TABLES; i++)
			if (relid == InvalidOid || relid == bindings->relids[i] ||
				!OidIsValid(bindings->relids[i]))
				bindings->valid = false;
}

/* Does an event that is appended to a store go to any queue? */
bool
nvs_bindings_on_append(const NvsStore *store)
{
	return bindings_of(store)->tries[BINDING_APPENDED] != NULL;
}

/*
 * The bindings by which what is published goes to queues, each queue once, in
 * the order of their numbers; they are there until the call ends.
 */
List *
nvs_bindings_of_published(const NvsStore *store, const char *subject, int len)
{
	BindingMatch match = {NULL, 0, NIL};

	return bindings_match(store, BINDING_PUBLISHED, subject, len, &match);
}

/*
 * The bindings by which an event that is appended goes to queues, each queue
 * once, in the order of their numbers; type may be NULL for any.
 */
List *
nvs_bindings_of_event(const NvsStore *store, const char *subject, int len,
					  const char *type, int type_len)
{
	BindingMatch match = {type, type_len, NIL};

	return bindings_match(store, BINDING_APPENDED, subject, len, &match);
}

/*
 * Is any queue of this number still bound?  One that is not any more may have
 * been dropped since it was found here.
 */
bool
nvs_binding_is_left(const NvsStore *store, int32 number)
{
	ListCell   *lc;

	foreach(lc, bindings_of(store)->all)
		if (((const NvsBinding *) lfirst(lc))->number == number)
		return true;
	return false;
}

/* The bindings of a kind that match. */
static List *
bindings_match(const NvsStore *store, BindingKind kind, const char *subject,
			   int len, BindingMatch *match)
{
	const NvsTrie *trie = bindings_of(store)->tries[kind];
	List	   *once = NIL;
	ListCell   *lc;

	if (trie == NULL)
		return NIL;
	nvs_trie_each(trie, subject, len, binding_take, match);
	list_sort(match->found, binding_compare);
	foreach(lc, match->found)
	{
		const NvsBinding *binding = lfirst(lc);

		if (once == NIL ||
			((NvsBinding *) llast(once))->number != binding->number)
			once = lappend(once, lfirst(lc));
	}
	return once;
}

/* Take all bindings of a shape that matches. */
static void
binding_take(void *payload, void *arg)
{
	BindingMatch *match = arg;
	NvsBinding *binding;

	for (binding = payload; binding != NULL; binding = binding->next)
		if (binding_takes_type(binding, match))
			match->found = lappend(match->found, binding);
}

/* Is a binding one for this type of events? */
static bool
binding_takes_type(const NvsBinding *binding, const BindingMatch *match)
{
	ListCell   *lc;

	if (binding->types == NIL || match->type == NULL)
		return true;
	foreach(lc, binding->types)
	{
		const char *type = lfirst(lc);

		if (strlen(type) == match->len &&
			memcmp(type, match->type, match->len) == 0)
			return true;
	}
	return false;
}

/* For list_sort(): by the number of the queue. */
static int
binding_compare(const ListCell *a, const ListCell *b)
{
	int32		x = ((const NvsBinding *) lfirst(a))->number;
	int32		y = ((const NvsBinding *) lfirst(b))->number;

	return x < y ? -1 : x > y;
}

/* The bindings of a store, read now unless they are known. */
static StoreBindings *
bindings_of(const NvsStore *store)
{
	StoreBindings *bindings;

	/* Another store at this address would be of a later generation. */
	if (likely(store == last_store && last_bindings->valid &&
			   last_bindings->generation == store->generation))
		return last_bindings;
	bindings = bindings_known(store);
	if (!bindings->valid || bindings->generation != store->generation)
		bindings_read(bindings, store);
	last_store = store;
	last_bindings = bindings;
	return bindings;
}

/* What is kept for the store of a name; empty when it was never asked for. */
static StoreBindings *
bindings_known(const NvsStore *store)
{
	StoreBindings *bindings;
	bool		found;

	if (bindings_by_store == NULL)
	{
		HASHCTL		ctl = {.keysize = NAMEDATALEN,
		.entrysize = sizeof(StoreBindings),.hcxt = CacheMemoryContext};

		bindings_by_store = hash_create("nvent_store bindings", 16, &ctl,
										HASH_ELEM | HASH_STRINGS |
										HASH_CONTEXT);
	}
	bindings = hash_search(bindings_by_store, store->prefix, HASH_ENTER,
						   &found);
	if (!found)
	{
		memset(bindings, 0, sizeof(StoreBindings));
		strlcpy(bindings->prefix, store->prefix, sizeof(bindings->prefix));
		bindings->next = all_bindings;
		all_bindings = bindings;
	}
	return bindings;
}

/*
 * Read the bindings of a store, as they are now whatever the snapshot of the
 * transaction.  The tables are locked meanwhile, and no longer; what changes
 * before that is over is read by the next call.  An error leaves what was.
 */
static void
bindings_read(StoreBindings *bindings, const NvsStore *store)
{
	StoreBindings fresh = *bindings;
	uint64		before;
	int			i;

	memset(fresh.tries, 0, sizeof(fresh.tries));
	fresh.all = NIL;

	/*
	 * The tables, by their names now.  Their locks bring in what others told
	 * of changes; what is told later has the next call read again.
	 */
	for (i = 0; i < TABLES; i++)
		fresh.relids[i] = bindings_lock_table(store, binding_tables[i]);
	before = changes;

	fresh.cxt = AllocSetContextCreate(CurrentMemoryContext,
									  "nvent_store bindings",
									  ALLOCSET_SMALL_SIZES);
	if (OidIsValid(fresh.relids[TABLE_BINDINGS]) &&
		OidIsValid(fresh.relids[TABLE_QUEUES]))
		bindings_read_rows(&fresh);

	/*
	 * Not held to the end of the transaction, which may do no more than
	 * append.
	 */
	for (i = 0; i < TABLES; i++)
		if (OidIsValid(fresh.relids[i]))
			UnlockRelationOid(fresh.relids[i], AccessShareLock);

	/* What was found may still be used by a call that is under way. */
	MemoryContextSetParent(fresh.cxt, CacheMemoryContext);
	if (bindings->cxt != NULL)
		nvs_defer_free(bindings->cxt, NULL);
	fresh.generation = store->generation;
	fresh.valid = before == changes;
	fresh.next = bindings->next;
	*bindings = fresh;
}

/* Lock a table of a store; InvalidOid when the store has none of that name. */
static Oid
bindings_lock_table(const NvsStore *store, const char *table)
{
	char	   *name = psprintf("%s_%s", store->prefix, table);
	Oid			relid = nvs_relation_find(store, NULL, name);

	while (OidIsValid(relid) && nvs_relation_is_own(store, relid, true))
	{
		Oid			again;

		LockRelationOid(relid, AccessShareLock);
		again = nvs_relation_find(store, NULL, name);
		if (again == relid && nvs_relation_is_own(store, relid, true))
			return relid;
		UnlockRelationOid(relid, AccessShareLock);
		relid = again;
	}
	return InvalidOid;
}

/* Read the two tables, which are locked. */
static void
bindings_read_rows(StoreBindings *fresh)
{
	HTAB	   *queues = NULL;
	BindingScan scan;

	scan_begin(&scan, fresh->relids[TABLE_BINDINGS]);
	while (table_scan_getnextslot(scan.scan, ForwardScanDirection, scan.slot))
	{
		CHECK_FOR_INTERRUPTS();
		if (queues == NULL)
			queues = bindings_read_queues(fresh->relids[TABLE_QUEUES]);
		bindings_add(fresh, queues, &scan);
	}
	scan_end(&scan);
	if (queues != NULL)
		hash_destroy(queues);
}

/*
 * Add the binding of a row, unless its queue is gone, or its pattern is none:
 * a table can be loaded without its triggers.
 */
static void
bindings_add(StoreBindings *fresh, HTAB *queues, BindingScan *scan)
{
	bool		isnull;
	int32		number = DatumGetInt32(scan_column(scan, "queue", INT4OID,
												   &isnull));
	BoundQueue *queue = hash_search(queues, &number, HASH_FIND, NULL);
	char	   *pattern = TextDatumGetCString(scan_column(scan, "pattern",
														  TEXTOID, &isnull));
	NvsPattern *parsed = nvs_pattern_parse(pattern, strlen(pattern), NULL);
	BindingKind kind = DatumGetBool(scan_column(scan, "on_append", BOOLOID,
												&isnull)) ?
		BINDING_APPENDED : BINDING_PUBLISHED;
	Datum		types = scan_column(scan, "types", TEXTARRAYOID, &isnull);
	MemoryContext old;
	NvsBinding *binding;
	void	  **slot;

	if (queue == NULL || parsed == NULL)
		return;

	/* The row is copied: it is gone when the scan goes on. */
	old = MemoryContextSwitchTo(fresh->cxt);
	binding = palloc0(sizeof(NvsBinding));
	binding->number = number;
	binding->queue = pstrdup(queue->name);
	binding->pattern = pstrdup(pattern);
	if (!isnull)
		binding->types = binding_types(types);

	/* Bindings of one shape are a list, whose first one the trie has. */
	if (fresh->tries[kind] == NULL)
		fresh->tries[kind] = nvs_trie_create(fresh->cxt);
	slot = nvs_trie_slot(fresh->tries[kind], parsed);
	binding->next = *slot;
	*slot = binding;

	fresh->all = lappend(fresh->all, binding);
	MemoryContextSwitchTo(old);
}

/* The types of a binding. */
static List *
binding_types(Datum types)
{
	List	   *list = NIL;
	Datum	   *elements;
	bool	   *nulls;
	int			n;
	int			i;

	deconstruct_array(DatumGetArrayTypeP(types), TEXTOID, -1, false,
					  TYPALIGN_INT, &elements, &nulls, &n);
	for (i = 0; i < n; i++)
		if (!nulls[i])
			list = lappend(list, TextDatumGetCString(elements[i]));
	return list;
}

/* Names of the queues of a store. */
static HTAB *
bindings_read_queues(Oid relid)
{
	HASHCTL		ctl = {.keysize = sizeof(int32),.entrysize = sizeof(BoundQueue),
	.hcxt = CurrentMemoryContext};
	HTAB	   *queues = hash_create("nvent_store bound queues", 64, &ctl,
									 HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	BindingScan scan;

	scan_begin(&scan, relid);
	while (table_scan_getnextslot(scan.scan, ForwardScanDirection, scan.slot))
	{
		bool		isnull;
		Datum		number = scan_column(&scan, "number", INT4OID, &isnull);
		int32		key = DatumGetInt32(number);
		BoundQueue *queue;

		CHECK_FOR_INTERRUPTS();
		queue = hash_search(queues, &key, HASH_ENTER, NULL);
		queue->name = TextDatumGetCString(scan_column(&scan, "name", TEXTOID,
													  &isnull));
	}
	scan_end(&scan);
	return queues;
}

/* Begin to read a table, which is locked, with the latest snapshot. */
static void
scan_begin(BindingScan *scan, Oid relid)
{
	scan->rel = table_open(relid, NoLock);
	if (scan->rel->rd_rel->relkind != RELKIND_RELATION)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TABLE_DEFINITION),
				 errmsg("relation \"%s\" cannot be used",
						RelationGetRelationName(scan->rel)),
				 errdetail("It is partitioned.")));
	scan->snapshot = RegisterSnapshot(GetLatestSnapshot());
	scan->slot = table_slot_create(scan->rel, NULL);
	scan->scan = table_beginscan(scan->rel, scan->snapshot, 0, NULL);
}

/*
 * A column of the row that a scan is at; an error where the table has none of
 * that name and type, and for NULL where it is not to be.
 */
static Datum
scan_column(const BindingScan *scan, const char *name, Oid type, bool *isnull)
{
	Oid			relid = RelationGetRelid(scan->rel);
	AttrNumber	column = get_attnum(relid, name);
	Datum		value = (Datum) 0;

	*isnull = true;
	if (column != InvalidAttrNumber && get_atttype(relid, column) == type)
		value = slot_getattr(scan->slot, column, isnull);
	else
		type = InvalidOid;
	if (!OidIsValid(type) || (*isnull && type != TEXTARRAYOID))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TABLE_DEFINITION),
				 errmsg("relation \"%s\" cannot be used",
						RelationGetRelationName(scan->rel)),
				 errdetail("Its column \"%s\" is not what it was made as.",
						   name)));
	return value;
}

/* End to read a table. */
static void
scan_end(BindingScan *scan)
{
	table_endscan(scan->scan);
	ExecDropSingleTupleTableSlot(scan->slot);
	UnregisterSnapshot(scan->snapshot);
	table_close(scan->rel, NoLock);
}
