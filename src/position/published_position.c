/*
 * position/published_position.c
 *	  The row of nvent.published_position.
 *
 * Who sees the row sees every event that was settled when it was written: what
 * those go by whose snapshot is older than what is safe now.  A row stays right
 * for ever, since what is settled stays so.
 */
#include "postgres.h"

#include "access/relation.h"
#include "catalog/pg_type.h"
#include "storage/bufmgr.h"
#include "utils/array.h"
#include "utils/rel.h"

#include "base/identity.h"
#include "base/statement.h"
#include "position/internal.h"
#include "position/position.h"

/*
 * Stores whose own positions are in the row.  When more are held back, those
 * further ahead are settled only up to the first that is left out.
 */
#define MAX_HELD	100

/* What store $1, or each with its low bits, which are $2, can read. */
static const NvsStatement read_statement = {
	"SELECT LEAST(position, (SELECT pg_catalog.min(h.position) "
	"FROM UNNEST(held_stores, held_positions) h (store, position) "
	"WHERE h.store OPERATOR(pg_catalog.=) ANY (ARRAY[$1, $2, 0]))) "
	"FROM nvent.published_position WHERE position IS NOT NULL"
};

/* The row is left alone unless it advances. */
static const NvsStatement write_statement = {
	"WITH written AS (UPDATE nvent.published_position "
	"SET position = $1, held_stores = $2, held_positions = $3, "
	"published_at = pg_catalog.clock_timestamp() "
	"WHERE position IS NULL OR position OPERATOR(pg_catalog.<) $1 "
	"OR position OPERATOR(pg_catalog.=) $1 "
	"AND (held_stores OPERATOR(pg_catalog.<>) $2 "
	"OR held_positions OPERATOR(pg_catalog.<>) $3) "
	"RETURNING position) "
	"SELECT position FROM written "
	"UNION ALL SELECT position FROM nvent.published_position LIMIT 1"
};

static const NvsStatement lock_statement = {
	"SELECT only_row FROM nvent.published_position "
	"FOR NO KEY UPDATE SKIP LOCKED"
};

static int64 published_position_cut(int64 last, NvsMarks *marks);
static int	published_position_by_position(const void *a, const void *b);
static void published_position_add_held(NvsParams *params,
										const NvsMarks *marks);

/*
 * The position up to which the active snapshot shows everything of a store.
 * Raises 55000 when none has been published before it.  Needs SPI.
 */
int64
nvs_published_position_read(uint32 store)
{
	NvsParams	params;
	Datum		position;

	nvs_params_init(&params);
	nvs_params_add(&params, INT4OID, Int32GetDatum((int32) store), false);
	nvs_params_add(&params, INT4OID,
				   Int32GetDatum(store & NVS_STORE_BITS), false);
	if (!nvs_execute_first(nvs_statement_plan(NULL, &read_statement, &params,
											  NULL),
						   &params, true, CurrentMemoryContext, &position))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("this snapshot does not show which events are settled"),
				 errdetail("In REPEATABLE READ, in SERIALIZABLE and on a "
						   "standby events are read up to the position in "
						   "nvent.published_position, which has not been "
						   "written yet."),
				 errhint("Preload nvent_store, or have SELECT "
						 "nvent.position_publish() run regularly on the "
						 "primary; or read in READ COMMITTED.")));
	return DatumGetInt64(position);
}

/* What is published. */
static const NvsStatement highest_statement = {
	"SELECT position FROM nvent.published_position"
};

/* The highest position that was ever published; 0 when there is none. */
int64
nvs_published_position_highest(void)
{
	NvsIdentity saved;
	SPIPlanPtr	plan;
	Datum		position;
	bool		found;

	nvs_spi_begin();
	nvs_become_owner(&saved);
	plan = nvs_statement_plan(NULL, &highest_statement, NULL, NULL);
	found = nvs_execute_first(plan, NULL, true, CurrentMemoryContext,
							  &position);
	nvs_become_caller(&saved);
	nvs_spi_end();
	return found ? DatumGetInt64(position) : 0;
}

/*
 * Lock the row until the transaction ends, as the extension's owner; false when
 * somebody else has.  Needs SPI.
 */
bool
nvs_published_position_lock(void)
{
	SPIPlanPtr	plan;
	NvsIdentity saved;
	Datum		only_row;
	bool		locked;

	nvs_become_owner(&saved);
	plan = nvs_statement_plan(NULL, &lock_statement, NULL, NULL);
	locked = nvs_execute_first(plan, NULL, false, CurrentMemoryContext,
							   &only_row);
	nvs_become_caller(&saved);
	return locked;
}

/*
 * Publish the highest position that was drawn, and what marks, which were
 * looked for after that, hold back of it; as the extension's owner.  Returns
 * the position that is published now, which somebody else may have advanced
 * further.  Needs SPI.
 */
int64
nvs_published_position_write(int64 last, NvsMarks *marks)
{
	NvsParams	params;
	NvsIdentity saved;
	SPIPlanPtr	plan;
	Datum		position = (Datum) 0;

	nvs_marks_sort(marks);
	last = published_position_cut(last, marks);
	nvs_params_init(&params);
	nvs_params_add(&params, INT8OID, Int64GetDatum(last), false);
	published_position_add_held(&params, marks);
	nvs_become_owner(&saved);
	plan = nvs_statement_plan(NULL, &write_statement, &params, NULL);
	(void) nvs_execute_first(plan, &params, false, CurrentMemoryContext,
							 &position);
	nvs_become_caller(&saved);
	return DatumGetInt64(position);
}

/*
 * Leave only so many marks as the row has room for, the lowest.  Returns the
 * position that is settled in all other stores.
 */
static int64
published_position_cut(int64 last, NvsMarks *marks)
{
	if (marks->n <= MAX_HELD)
		return last;
	qsort(marks->list, marks->n, sizeof(NvsMark),
		  published_position_by_position);
	marks->n = MAX_HELD;
	last = Min(last, marks->list[MAX_HELD].position - 1);
	nvs_marks_sort(marks);
	return last;
}

/* For qsort(): marks by position. */
static int
published_position_by_position(const void *a, const void *b)
{
	int64		x = ((const NvsMark *) a)->position;
	int64		y = ((const NvsMark *) b)->position;

	return x < y ? -1 : x > y;
}

/* Add to the parameters the stores of marks, and what each can read. */
static void
published_position_add_held(NvsParams *params, const NvsMarks *marks)
{
	Datum	   *stores = palloc(sizeof(Datum) * Max(marks->n, 1));
	Datum	   *positions = palloc(sizeof(Datum) * Max(marks->n, 1));
	ArrayType  *array;
	int			i;

	for (i = 0; i < marks->n; i++)
	{
		stores[i] = Int32GetDatum((int32) marks->list[i].store);
		positions[i] = Int64GetDatum(marks->list[i].position - 1);
	}
	array = construct_array(stores, marks->n, INT4OID, sizeof(int32), true,
							TYPALIGN_INT);
	nvs_params_add(params, INT4ARRAYOID, PointerGetDatum(array), false);
	array = construct_array(positions, marks->n, INT8OID, sizeof(int64),
							FLOAT8PASSBYVAL, TYPALIGN_DOUBLE);
	nvs_params_add(params, INT8ARRAYOID, PointerGetDatum(array), false);
}

/* Size of the table in blocks, which dead versions of the row make grow. */
BlockNumber
nvs_published_position_blocks(void)
{
	Relation	rel = relation_open(nvs_registry_table("published_position"),
									AccessShareLock);
	BlockNumber blocks = RelationGetNumberOfBlocks(rel);

	relation_close(rel, AccessShareLock);
	return blocks;
}
