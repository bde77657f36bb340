/*
 * stream/category.c
 *	  Following a category: the subjects that begin with some tokens.
 *
 * It is a poll (stream/poll.c) of two patterns, the category itself and all
 * that is below it, with more filters: correlation, and a member of a group
 * that shares the subjects.
 */
#include "postgres.h"

#include "utils/builtins.h"

#include "base/arg.h"
#include "stream/poll.h"

/* Arguments of stream_poll_category() besides those of every poll. */
enum
{
	ARG_CATEGORY = 0,
	ARG_CORRELATION = NVS_POLL_ARG_TYPES + 1,
	ARG_MEMBER,
	ARG_SIZE,
	ARG_STORE
};

PG_FUNCTION_INFO_V1(nvs_stream_poll_category);

static void category_check_group(FunctionCallInfo fcinfo);
static void category_set_filters(FunctionCallInfo fcinfo, NvsScan *scan,
								 const char *category);
static int	category_count_tokens(const char *s);

/*
 * nvent.stream_poll_category(category, after, max_count, types, correlation,
 * member, size, store): one row, the cursor to pass next and the records.
 */
Datum
nvs_stream_poll_category(PG_FUNCTION_ARGS)
{
	NvsPoll		poll;
	char	   *category;
	char	   *pattern;
	char	   *below;
	int64		cursor;

	NVS_REQUIRE_ARG(ARG_CATEGORY, "category");
	category_check_group(fcinfo);
	category = text_to_cstring(PG_GETARG_TEXT_PP(ARG_CATEGORY));
	nvs_subject_validate(category, strlen(category));
	pattern = nvs_pattern_of_subject(category, strlen(category));
	below = psprintf("%s:>", pattern);
	if (nvs_pattern_parse(below, strlen(below), NULL) == NULL)
		below = NULL;
	nvs_poll_begin(&poll, fcinfo, pattern, below, ARG_STORE);
	category_set_filters(fcinfo, &poll.scan, category);
	cursor = nvs_scan_run(&poll.scan);

	/* What is below it too; the page becomes shorter with what that finds. */
	if (below != NULL)
	{
		nvs_scan_again(&poll.scan, below);
		cursor = nvs_scan_run(&poll.scan);
	}
	PG_RETURN_DATUM(nvs_poll_end(&poll, cursor));
}

/* Raise an error unless both or none of a group's arguments are given. */
static void
category_check_group(FunctionCallInfo fcinfo)
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

/* Put what is asked besides the category and the types into a scan. */
static void
category_set_filters(FunctionCallInfo fcinfo, NvsScan *scan,
					 const char *category)
{
	if (!PG_ARGISNULL(ARG_CORRELATION))
		scan->correlation =
			text_to_cstring(PG_GETARG_TEXT_PP(ARG_CORRELATION));
	if (PG_ARGISNULL(ARG_MEMBER))
		return;
	scan->member = PG_GETARG_INT32(ARG_MEMBER);
	scan->size_of_group = PG_GETARG_INT32(ARG_SIZE);
	scan->category_tokens = category_count_tokens(category);
}

/* How many tokens a subject has. */
static int
category_count_tokens(const char *s)
{
	int			n = 1;

	for (; *s != '\0'; s++)
		n += *s == ':';
	return n;
}
