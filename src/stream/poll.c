/*
 * stream/poll.c
 *	  Following a pattern over all tables of a store, in one total order.
 *
 * A page is what lies above the caller's cursor and at or below the safe
 * position (position/position.c), which is taken first: before the snapshot,
 * and before the registry is looked at, so that no table is missing whose
 * events are said to be settled.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"

#include "errors.h"
#include "base/arg.h"
#include "position/position.h"
#include "stream/scan.h"

PG_FUNCTION_INFO_V1(nvs_stream_poll);

/*
 * nvent.stream_poll(pattern, after, max_count, types, store): one row, the
 * cursor to pass next and the records.
 */
Datum
nvs_stream_poll(PG_FUNCTION_ARGS)
{
	MemoryContext cxt = CurrentMemoryContext;
	TupleDesc	desc;
	NvsScan		scan;
	int64		after = NVS_ARG_OR(1, PG_GETARG_INT64, 0);
	int64		safe;
	Datum		values[2];
	bool		nulls[2] = {false, false};

	NVS_REQUIRE_ARG(0, "pattern");
	NVS_REQUIRE_ARG(2, "max_count");
	nvs_scan_check_count(PG_GETARG_INT32(2));
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "unexpected result type");

	nvs_spi_begin();
	safe = nvs_position_push_snapshot();
	nvs_scan_init(&scan, PG_GETARG_TEXT_PP(0),
				  PG_ARGISNULL(4) ? NULL : PG_GETARG_TEXT_PP(4));
	if (!PG_ARGISNULL(3))
		nvs_scan_types(&scan, PG_GETARG_ARRAYTYPE_P(3));
	scan.after = after;
	scan.upto = safe;
	scan.limit = PG_GETARG_INT32(2);
	nvs_scan_run(&scan);
	/* What is toasted is read under this snapshot too. */
	values[0] = Int64GetDatum(Max(scan.upto, after));
	values[1] = nvs_scan_records(&scan, cxt);
	PopActiveSnapshot();
	nvs_spi_end();
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc),
													  values, nulls)));
}
