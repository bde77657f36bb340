/*
 * stream/poll.c
 *	  Following a pattern over all tables of a store, in one total order.
 *
 * A page is what lies above the caller's cursor and at or below the store's
 * safe position (position/position.c), as a window (stream/window.c) shows it.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "funcapi.h"
#include "utils/builtins.h"

#include "base/arg.h"
#include "position/position.h"
#include "stream/poll.h"

/* Events that one page may have, their equals aside. */
#define POLL_MAX_PAGE	65536

/* Arguments of stream_poll() besides those of every poll. */
enum
{
	ARG_PATTERN = 0,
	ARG_STORE = NVS_POLL_ARG_TYPES + 1,
	ARG_BEFORE,
	ARG_SINCE,
	ARG_UNTIL,
	ARG_CORRELATION,
	ARG_SUBJECT_REGEX,
	ARG_WITH_SNAPS,
	ARG_BACKWARD
};

PG_FUNCTION_INFO_V1(nvs_stream_poll);

static void poll_set_filters(FunctionCallInfo fcinfo, NvsScan *scan);
static void poll_check_count(int32 count);

/*
 * nvent.stream_poll(pattern, after, max_count, types, store, before, since,
 * until, correlation, subject_regex, with_snaps, backward): one row, the cursor
 * to pass next and the records.
 */
Datum
nvs_stream_poll(PG_FUNCTION_ARGS)
{
	NvsPoll		poll;
	int64		cursor;

	NVS_REQUIRE_ARG(ARG_PATTERN, "pattern");
	nvs_poll_begin(&poll, fcinfo,
				   text_to_cstring(PG_GETARG_TEXT_PP(ARG_PATTERN)), NULL,
				   ARG_STORE);
	poll_set_filters(fcinfo, &poll.scan);
	if (NVS_ARG_OR(ARG_BACKWARD, PG_GETARG_BOOL, false))
		cursor = nvs_scan_backward(&poll.scan);
	else
		cursor = nvs_scan_run(&poll.scan);
	PG_RETURN_DATUM(nvs_poll_end(&poll, cursor));
}

/* Put what is asked besides the pattern and the types into a scan. */
static void
poll_set_filters(FunctionCallInfo fcinfo, NvsScan *scan)
{
	int64		before = NVS_ARG_OR(ARG_BEFORE, PG_GETARG_INT64, PG_INT64_MAX);

	if (before <= scan->upto)
		scan->upto = Max(before, 1) - 1;
	scan->since = NVS_ARG_OR(ARG_SINCE, PG_GETARG_INT64, PG_INT64_MIN);
	scan->until = NVS_ARG_OR(ARG_UNTIL, PG_GETARG_INT64, PG_INT64_MAX);
	scan->no_snapshots = !NVS_ARG_OR(ARG_WITH_SNAPS, PG_GETARG_BOOL, true);
	if (!PG_ARGISNULL(ARG_CORRELATION))
		scan->correlation =
			text_to_cstring(PG_GETARG_TEXT_PP(ARG_CORRELATION));
	if (!PG_ARGISNULL(ARG_SUBJECT_REGEX))
		scan->subject_regex =
			text_to_cstring(PG_GETARG_TEXT_PP(ARG_SUBJECT_REGEX));
}

/*
 * Begin a page of a pattern's events, and of those below it if that is not
 * NULL, by a SQL function's arguments, the store's name being argument
 * store_arg.  The scan is for the first pattern.  Opens SPI and the window,
 * both until nvs_poll_end().
 */
void
nvs_poll_begin(NvsPoll *poll, FunctionCallInfo fcinfo, const char *pattern,
			   const char *below, int store_arg)
{
	NvsWindow  *window = &poll->window;

	/* The size of the page, and the row that the caller is to get. */
	NVS_REQUIRE_ARG(NVS_POLL_ARG_MAX_COUNT, "max_count");
	poll_check_count(PG_GETARG_INT32(NVS_POLL_ARG_MAX_COUNT));
	if (get_call_result_type(fcinfo, NULL, &poll->desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "unexpected result type");
	poll->cxt = CurrentMemoryContext;

	/*
	 * The relations of the store whose subjects could match, and a snapshot.
	 */
	nvs_spi_begin();
	memset(window, 0, sizeof(NvsWindow));
	if (!PG_ARGISNULL(store_arg))
		window->name = text_to_cstring(PG_GETARG_TEXT_PP(store_arg));
	window->patterns = list_make1(nvs_pattern_compile(pattern,
													  strlen(pattern)));
	if (below != NULL)
		window->patterns = lappend(window->patterns,
								   nvs_pattern_compile(below, strlen(below)));
	window->after = NVS_ARG_OR(NVS_POLL_ARG_AFTER, PG_GETARG_INT64, 0);
	nvs_window_open(window);

	/* The scan of them, which begins where the cursor says. */
	nvs_scan_init(&poll->scan, window, pattern);
	if (!PG_ARGISNULL(NVS_POLL_ARG_TYPES))
		nvs_scan_types(&poll->scan, PG_GETARG_ARRAYTYPE_P(NVS_POLL_ARG_TYPES));
	poll->scan.limit = PG_GETARG_INT32(NVS_POLL_ARG_MAX_COUNT);
	/* A cursor above what is settled may be one that was never drawn. */
	if (poll->scan.after > poll->scan.upto)
		nvs_position_check_cursor(poll->scan.after);
}

/* Raise an error unless a page may have so many events. */
static void
poll_check_count(int32 count)
{
	if (count < 1 || count > POLL_MAX_PAGE)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"max_count\" must be from 1 to %d",
						POLL_MAX_PAGE),
				 errdetail("It is %d.", count)));
}

/*
 * The row to return: the cursor to pass next, and the records.  Ends what
 * nvs_poll_begin() began.
 */
Datum
nvs_poll_end(NvsPoll *poll, int64 cursor)
{
	const NvsScan *scan = &poll->scan;
	TupleDesc	desc = BlessTupleDesc(poll->desc);
	Datum		values[2];
	bool		nulls[2] = {false, false};

	/* What is toasted is read under this snapshot too. */
	values[0] = Int64GetDatum(cursor);
	values[1] = nvs_scan_records(scan, poll->cxt);
	nvs_window_close(&poll->window);
	nvs_spi_end();
	return HeapTupleGetDatum(heap_form_tuple(desc, values, nulls));
}
