/*
 * position/published_position.c
 *	  The row of nvent.published_position.
 *
 * Who sees the row sees every event that was settled when it was written: what
 * those go by whose snapshot is older than what is safe now.
 */
#include "postgres.h"

#include "access/relation.h"
#include "catalog/pg_type.h"
#include "storage/bufmgr.h"
#include "utils/rel.h"

#include "base/identity.h"
#include "base/statement.h"
#include "position/internal.h"
#include "position/position.h"

static const NvsStatement read_statement = {
	"SELECT position FROM nvent.published_position"
};

/* The row is left alone unless it advances. */
static const NvsStatement write_statement = {
	"WITH written AS (UPDATE nvent.published_position "
	"SET position = $1, published_at = pg_catalog.clock_timestamp() "
	"WHERE position IS NULL OR position OPERATOR(pg_catalog.<) $1 "
	"RETURNING position) "
	"SELECT position FROM written "
	"UNION ALL SELECT position FROM nvent.published_position LIMIT 1"
};

/*
 * The position that the active snapshot shows.  Raises 55000 when none has
 * been published before it.  Needs SPI.
 */
int64
nvs_published_position_read(void)
{
	SPIPlanPtr	plan = nvs_statement_plan(NULL, &read_statement, NULL, NULL);
	Datum		position;

	if (!nvs_execute_first(plan, NULL, true, CurrentMemoryContext, &position))
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

/*
 * Publish a position that is safe, as the extension's owner.  Returns what is
 * published now, which somebody else may have advanced further.  Needs SPI.
 */
int64
nvs_published_position_write(int64 safe)
{
	NvsParams	params;
	NvsIdentity saved;
	SPIPlanPtr	plan;
	Datum		position = (Datum) 0;

	nvs_params_init(&params);
	nvs_params_add(&params, INT8OID, Int64GetDatum(safe), false);
	nvs_become_owner(&saved);
	plan = nvs_statement_plan(NULL, &write_statement, &params, NULL);
	(void) nvs_execute_first(plan, &params, false, CurrentMemoryContext,
							 &position);
	nvs_become_caller(&saved);
	return DatumGetInt64(position);
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
