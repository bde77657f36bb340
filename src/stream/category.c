/*
 * stream/category.c
 *	  Following a category: the subjects that begin with some tokens.
 *
 * It is a poll (stream/poll.c) of two patterns, the category itself and all
 * that is below it, with more filters: correlation, and a member of a group
 * that shares the subjects.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"

#include "errors.h"
#include "base/arg.h"
#include "position/position.h"
#include "stream/scan.h"

/* Arguments. */
enum
{
	ARG_CATEGORY,
	ARG_AFTER,
	ARG_MAX_COUNT,
	ARG_TYPES,
	ARG_CORRELATION,
	ARG_MEMBER,
	ARG_SIZE,
	ARG_STORE
};

PG_FUNCTION_INFO_V1(nvs_stream_poll_category);

static void check_group(FunctionCallInfo fcinfo);
static void set_filters(FunctionCallInfo fcinfo, NvsScan *scan, int tokens);
static int	count_tokens(const char *s);

/*
 * nvent.stream_poll_category(category, after, max_count, types, correlation,
 * member, size, store): one row, the cursor to pass next and the records.
 */
Datum
nvs_stream_poll_category(PG_FUNCTION_ARGS)
{
	MemoryContext cxt = CurrentMemoryContext;
	TupleDesc	desc;
	NvsScan		scan;
	char	   *category;
	text	   *store;
	int64		after = NVS_ARG_OR(ARG_AFTER, PG_GETARG_INT64, 0);
	Datum		values[2];
	bool		nulls[2] = {false, false};

	NVS_REQUIRE_ARG(ARG_CATEGORY, "category");
	NVS_REQUIRE_ARG(ARG_MAX_COUNT, "max_count");
	nvs_scan_check_count(PG_GETARG_INT32(ARG_MAX_COUNT));
	check_group(fcinfo);
	category = text_to_cstring(PG_GETARG_TEXT_PP(ARG_CATEGORY));
	nvs_subject_validate(category, strlen(category));
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "unexpected result type");

	nvs_spi_begin();
	store = PG_ARGISNULL(ARG_STORE) ? NULL : PG_GETARG_TEXT_PP(ARG_STORE);
	values[0] = Int64GetDatum(nvs_position_push_snapshot());
	nvs_scan_init(&scan, cstring_to_text(psprintf("%s:>", category)), store);
	scan.after = after;
	scan.upto = DatumGetInt64(values[0]);
	scan.limit = PG_GETARG_INT32(ARG_MAX_COUNT);
	set_filters(fcinfo, &scan, count_tokens(category));
	nvs_scan_run(&scan);
	/* The bare category too; the page becomes shorter with what it finds. */
	nvs_scan_again(&scan, category);
	nvs_scan_run(&scan);
	values[0] = Int64GetDatum(Max(scan.upto, after));
	values[1] = nvs_scan_records(&scan, cxt);
	PopActiveSnapshot();
	nvs_spi_end();
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc),
													  values, nulls)));
}

/* Raise an error unless both or none of a group's arguments are given. */
static void
check_group(FunctionCallInfo fcinfo)
{
	int32		member;
	int32		size;

	if (PG_ARGISNULL(ARG_MEMBER) != PG_ARGISNULL(ARG_SIZE))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("arguments \"member\" and \"size\" go together")));
	if (PG_ARGISNULL(ARG_MEMBER))
		return;
	member = PG_GETARG_INT32(ARG_MEMBER);
	size = PG_GETARG_INT32(ARG_SIZE);
	if (size < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("size of a group must be at least 1"),
				 errdetail("It is %d.", size)));
	if (member < 0 || member >= size)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("member of a group of %d must be from 0 to %d", size,
						size - 1),
				 errdetail("It is %d.", member)));
}

/* Put what is asked besides the category into a scan. */
static void
set_filters(FunctionCallInfo fcinfo, NvsScan *scan, int tokens)
{
	if (!PG_ARGISNULL(ARG_TYPES))
		nvs_scan_types(scan, PG_GETARG_ARRAYTYPE_P(ARG_TYPES));
	if (!PG_ARGISNULL(ARG_CORRELATION))
		scan->correlation = text_to_cstring(
											PG_GETARG_TEXT_PP(ARG_CORRELATION));
	if (PG_ARGISNULL(ARG_MEMBER))
		return;
	scan->member = PG_GETARG_INT32(ARG_MEMBER);
	scan->size_of_group = PG_GETARG_INT32(ARG_SIZE);
	scan->category_tokens = tokens;
}

/* Tokens of a subject. */
static int
count_tokens(const char *s)
{
	int			n = 1;

	for (; *s != '\0'; s++)
		n += *s == ':';
	return n;
}
