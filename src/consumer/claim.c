/*
 * consumer/claim.c
 *	  Leases consumers that have work.
 *
 * A claim walks partial indexes of the consumers that have work and are free,
 * and skips rows that others hold, so it costs what it leases: neither idle
 * consumers nor leased ones are met.  A consumer whose lease or deferral has
 * run out comes back into those indexes by the claim that finds it in the
 * index on due_at.
 *
 * There are two ends.  The lagging one takes those furthest behind
 * within the highest priority, and of its places gives a quarter to whoever
 * is furthest behind, so that a priority starves nobody.  The leading one
 * takes those furthest ahead.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "errors.h"
#include "consumer/internal.h"

PG_FUNCTION_INFO_V1(nvs_consumer_claim);

/* Leases that ran out and that one claim makes free, beyond twice its own. */
#define SPARE_DUE		64

#define IS_READY	NVS_HAS_WORK " AND due_at IS NULL"

/*
 * Names of $1 free consumers in some order, locked.  A lane is named as a range
 * of one, and first in the order, so that the index of lanes has to be taken:
 * one without it has that order, too, and is as cheap where the planner expects
 * every lane to have work, but walks over all others where this one has none.
 */
#define PICK(lane, order) \
	{"SELECT name FROM {consumers} WHERE " IS_READY lane order \
	" LIMIT $1 FOR NO KEY UPDATE SKIP LOCKED"}
#define ANY_LANE	" ORDER BY "
#define IN_LANE		" AND lane OPERATOR(pg_catalog.>=) $2 " \
	"AND lane OPERATOR(pg_catalog.<=) $2 ORDER BY lane, "
#define IN_LANE_BACK	" AND lane OPERATOR(pg_catalog.>=) $2 " \
	"AND lane OPERATOR(pg_catalog.<=) $2 ORDER BY lane DESC, "

/* In which order one end takes consumers. */
typedef struct ClaimOrder
{
	NvsStatement any_lane;
	NvsStatement one_lane;
} ClaimOrder;

static const ClaimOrder claim_by_priority = {
	PICK(ANY_LANE, "priority DESC, position"),
	PICK(IN_LANE, "priority DESC, position")
};
static const ClaimOrder claim_oldest_first = {
	PICK(ANY_LANE, "position"),
	PICK(IN_LANE, "position")
};
static const ClaimOrder claim_newest_first = {
	PICK(ANY_LANE, "position DESC"),
	PICK(IN_LANE_BACK, "position DESC")
};

/* What one statement locked, and the leases that are made of it. */
typedef struct ClaimBatch
{
	NvsClaim   *claim;
	int			n;
	NvsNamedConsumer *picked;	/* by name; index says where it stood */
	HeapTuple  *leases;			/* as they were picked; NULL: not leased */
} ClaimBatch;

static void claim_free_due(NvsClaim *claim);
static void claim_pick(NvsClaim *claim, const ClaimOrder *order, int64 count,
					   bool lagging);
static void claim_lease_picked(NvsClaim *claim, bool lagging);
static Datum claim_draw_token(NvsClaim *claim);
static void claim_add_lease(TupleTableSlot *slot, void *arg);

/*
 * Read the arguments that claims have in common, which are the first six:
 * max_consumers, lease, lane, owner, max_leading, max_scan; and scan.
 */
void
nvs_claim_begin(NvsClaim *claim, FunctionCallInfo fcinfo,
				NvsConsumers *consumers)
{
	int64		lagging = nvs_count_argument(fcinfo, 0, "max_consumers");
	int64		leading = nvs_count_argument(fcinfo, 4, "max_leading");
	int64		scanned;

	/* How many of each end. */
	NVS_REQUIRE_ARG(1, "lease");
	memset(claim, 0, sizeof(*claim));
	claim->consumers = consumers;
	claim->leading = leading < 0 ? 0 : leading;
	claim->lagging = lagging < 0 ?
		Max(0, NVS_MAX_CONSUMERS - claim->leading) : lagging;
	if (claim->lagging + claim->leading > NVS_MAX_CONSUMERS)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("too many consumers in one claim: " INT64_FORMAT,
						claim->lagging + claim->leading),
				 errdetail("One claim leases at most %d.",
						   NVS_MAX_CONSUMERS)));

	/* For how long, where, and by whom. */
	claim->lease = PG_GETARG_INTERVAL_P(1);
	if (!PG_ARGISNULL(2))
		claim->lane = PG_GETARG_TEXT_PP(2);
	if (!PG_ARGISNULL(3))
		claim->owner = PG_GETARG_TEXT_PP(3);
	claim->cxt = CurrentMemoryContext;

	if (!PG_ARGISNULL(5))
		(void) nvs_mark_scan(consumers,
							 nvs_mark_count_argument(fcinfo, 5, "max_scan"),
							 &scanned);
}

/* Lease consumers: claim->leases gets what was leased. */
void
nvs_claim_run(NvsClaim *claim)
{
	int64		fair = 0;

	if (claim->lagging + claim->leading == 0)
		return;
	claim_free_due(claim);
	if (claim->lagging >= 2)
		fair = Max(1, claim->lagging / 4);
	claim_pick(claim, &claim_by_priority, claim->lagging - fair, true);
	claim_pick(claim, &claim_oldest_first, fair, true);
	claim_pick(claim, &claim_newest_first, claim->leading, false);
}

static const NvsStatement claim_due = {
	"UPDATE {consumers} SET due_at = NULL "
	"WHERE name OPERATOR(pg_catalog.=) ANY (ARRAY("
	"SELECT d.name FROM {consumers} d "
	"WHERE " NVS_HAS_WORK " AND due_at IS NOT NULL "
	"AND due_at OPERATOR(pg_catalog.<=) $1 "
	"ORDER BY due_at LIMIT $2 FOR NO KEY UPDATE SKIP LOCKED))"
};

/* Make consumers free whose lease or deferral has run out by now. */
static void
claim_free_due(NvsClaim *claim)
{
	NvsParams	params;
	int64		count = 2 * (claim->lagging + claim->leading) + SPARE_DUE;

	nvs_params_init(&params);
	nvs_params_add(&params, TIMESTAMPTZOID,
				   TimestampTzGetDatum(GetCurrentTimestamp()), false);
	nvs_params_add(&params, INT8OID, Int64GetDatum(count), false);
	(void) nvs_table_set_run(claim->consumers, &claim_due, &params);
}

/* Lease up to count free consumers in an order. */
static void
claim_pick(NvsClaim *claim, const ClaimOrder *order, int64 count,
		   bool lagging)
{
	NvsParams	params;

	if (count == 0)
		return;
	nvs_params_init(&params);
	nvs_params_add(&params, INT8OID, Int64GetDatum(count), false);
	if (claim->lane != NULL)
		nvs_params_add(&params, TEXTOID, PointerGetDatum(claim->lane), false);
	if (nvs_table_set_run(claim->consumers, claim->lane == NULL ?
						  &order->any_lane : &order->one_lane, &params) > 0)
		claim_lease_picked(claim, lagging);
}

/*
 * Leases the consumers $1.  It has no join, for which a plan that is kept
 * could be one that suited a small table.
 */
static const NvsStatement claim_lease = {
	"UPDATE {consumers} c SET token = $2, owner = $3, "
	"leased_until = "
	"pg_catalog.clock_timestamp() OPERATOR(pg_catalog.+) $4, "
	"due_at = pg_catalog.clock_timestamp() OPERATOR(pg_catalog.+) $4, "
	"attempt = LEAST(c.attempt, 2147483646) OPERATOR(pg_catalog.+) 1 "
	"WHERE c.name OPERATOR(pg_catalog.=) ANY ($1) "
	"RETURNING c.name, c.token, c.position, c.mark, c.attempt, c.lane, "
	"c.priority, c.pattern, c.source, c.owner, c.leased_until, $5"
};

/*
 * Lease the consumers that the last statement locked, and keep the leases in
 * its order.  The token is drawn while their rows are held, so it is above
 * that of any lease before.
 */
static void
claim_lease_picked(NvsClaim *claim, bool lagging)
{
	SPITupleTable *table = SPI_tuptable;
	int			n = table->numvals;
	Datum	   *names = palloc(sizeof(Datum) * n);
	ClaimBatch	batch;
	NvsParams	params;
	SPIPlanPtr	plan;
	int			i;

	/* What was picked, to be found again by name. */
	batch.claim = claim;
	batch.n = n;
	batch.picked = palloc(sizeof(NvsNamedConsumer) * n);
	batch.leases = palloc0(sizeof(HeapTuple) * n);
	for (i = 0; i < n; i++)
	{
		bool		isnull;

		names[i] = SPI_getbinval(table->vals[i], table->tupdesc, 1, &isnull);
		batch.picked[i].name = DatumGetTextPP(names[i]);
		batch.picked[i].index = i;
	}
	qsort(batch.picked, n, sizeof(NvsNamedConsumer),
		  nvs_consumers_compare_names);

	/* Lease it. */
	nvs_params_init(&params);
	nvs_params_add(&params, TEXTARRAYOID,
				   nvs_array_of(TEXTOID, names, NULL, n), false);
	nvs_params_add(&params, INT8OID, claim_draw_token(claim), false);
	nvs_params_add(&params, TEXTOID, PointerGetDatum(claim->owner),
				   claim->owner == NULL);
	nvs_params_add(&params, INTERVALOID, IntervalPGetDatum(claim->lease),
				   false);
	nvs_params_add(&params, BOOLOID, BoolGetDatum(lagging), false);
	plan = nvs_statement_plan(claim->consumers->plans, &claim_lease, &params,
							  NULL);
	(void) nvs_execute_each(plan, &params, false, claim_add_lease, &batch);

	/* The leases, as they were picked. */
	for (i = 0; i < n; i++)
		if (batch.leases[i] != NULL)
			claim->leases = lappend(claim->leases, batch.leases[i]);
	SPI_freetuptable(table);
}

/* Keep a lease, a row of claim_lease, at its place; arg is the ClaimBatch. */
static void
claim_add_lease(TupleTableSlot *slot, void *arg)
{
	ClaimBatch *batch = arg;
	NvsClaim   *claim = batch->claim;
	MemoryContext old = MemoryContextSwitchTo(claim->cxt);
	NvsNamedConsumer key;
	NvsNamedConsumer *picked;
	bool		isnull;

	if (claim->desc == NULL)
		claim->desc = CreateTupleDescCopy(slot->tts_tupleDescriptor);
	key.name = DatumGetTextPP(slot_getattr(slot, NVS_LEASE_NAME, &isnull));
	picked = bsearch(&key, batch->picked, batch->n, sizeof(NvsNamedConsumer),
					 nvs_consumers_compare_names);
	if (picked != NULL)
		batch->leases[picked->index] = ExecCopySlotHeapTuple(slot);
	else						/* a trigger has renamed it */
		claim->leases = lappend(claim->leases, ExecCopySlotHeapTuple(slot));
	MemoryContextSwitchTo(old);
}

static const NvsStatement claim_token = {
	"SELECT pg_catalog.nextval('nvent.fence_seq')"
};

/* The fencing token of a claim; one that leases nothing draws none. */
static Datum
claim_draw_token(NvsClaim *claim)
{
	Datum		token;

	if (claim->token == 0 &&
		nvs_execute_first(nvs_statement_plan(NULL, &claim_token, NULL, NULL),
						  NULL, false, CurrentMemoryContext, &token))
		claim->token = DatumGetInt64(token);
	return Int64GetDatum(claim->token);
}

/* nvent.consumer_claim(): a row for each lease. */
Datum
nvs_consumer_claim(PG_FUNCTION_ARGS)
{
	TupleDesc	desc;
	Tuplestorestate *result = nvs_result_set(fcinfo, &desc);
	NvsConsumers *consumers;
	NvsClaim	claim;
	ListCell   *lc;

	PreventCommandIfReadOnly("nvent.consumer_claim()");
	nvs_spi_begin();
	consumers = nvs_consumers_open(fcinfo, 6, NVS_USE_CHANGE);
	if (consumers != NULL)
	{
		nvs_claim_begin(&claim, fcinfo, consumers);
		nvs_claim_run(&claim);
		foreach(lc, claim.leases)
			tuplestore_puttuple(result, lfirst(lc));
	}
	nvs_spi_end();
	return (Datum) 0;
}
