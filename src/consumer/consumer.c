/*
 * consumer/consumer.c
 *	  Consumers: who reads which events, and how far each has come.
 *
 * A consumer is a row of {prefix}_consumers.  Its position is the last event
 * that it has dealt with, its mark the last one known to be for it: it has
 * work while position < mark.  consumer/subscribe.c makes consumers.
 * consumer/mark.c raises their marks, from the events up to the safe position
 * or as a caller says.  consumer/claim.c leases consumers that have work,
 * consumer/lease.c is for who holds a lease, and consumer/admin.c for
 * operators.
 *
 * due_at is when a consumer can be leased: NULL is now.  It is what leases
 * and deferrals have in common, and all that the indexes of claims see.
 *
 * This file has what the others share; route/table_set.c finds the consumers of
 * the store that a call names.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "errors.h"
#include "base/text.h"
#include "consumer/internal.h"

/* Bytes of the name of a consumer, a lane or a checkpoint. */
#define MAX_NAME_BYTES	1024

/* Their columns, as store/layout.c makes them. */
static const NvsTableSetColumn consumer_columns[] = {
	{0, "name", TEXTOID, true},
	{0, "pattern", TEXTOID},
	{0, "prefix", TEXTOID},
	{0, "source", TEXTOID},
	{0, "lane", TEXTOID, true},
	{0, "priority", INT4OID, true},
	{0, "position", INT8OID, true},
	{0, "mark", INT8OID},
	{0, "initialized", BOOLOID, true},
	{0, "attempt", INT4OID, true},
	{0, "blocked", BOOLOID, true},
	{0, "error", TEXTOID},
	{0, "owner", TEXTOID},
	{0, "token", INT8OID},
	{0, "leased_until", TIMESTAMPTZOID},
	{0, "deferred_until", TIMESTAMPTZOID},
	{0, "due_at", TIMESTAMPTZOID},
	{0, "created_at", TIMESTAMPTZOID, true},
	{1, "name", TEXTOID, true},
	{1, "position", INT8OID, true},
	{1, "token", INT8OID},
	{1, "data", JSONBOID},
	{1, "updated_at", TIMESTAMPTZOID, true},
	{-1}
};

/* The tables of a store that have its consumers. */
const NvsTableSetKind nvs_consumer_tables = {
	2, {"consumers", "checkpoints"}, consumer_columns, true
};

static int	consumers_compare_named(const void *a, const void *b);

/*
 * Raise an error for a name that is empty, or too long for an index.  what is
 * what it names.
 */
void
nvs_consumer_check_name(const text *name, const char *what)
{
	const char *data = VARDATA_ANY(name);
	int			len = VARSIZE_ANY_EXHDR(name);

	if (len == 0 || len > MAX_NAME_BYTES)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 len == 0 ? errmsg("name of a %s must not be empty", what) :
				 errmsg("name of %s \"%.*s...\" is too long", what,
						pg_mbcliplen(data, len, 64), data),
				 errdetail("A name has 1 to %d bytes; this one has %d.",
						   MAX_NAME_BYTES, len)));
}

/* Put the rows of a query, under the active snapshot, into a result. */
void
nvs_consumer_emit(const NvsConsumers *consumers,
				  const NvsStatement *statement, const NvsParams *params,
				  Tuplestorestate *result)
{
	(void) nvs_table_set_each(consumers, statement, params, true,
							  nvs_consumer_put_row, result);
}

/* Put a row as it is into the result, a tuplestore, that arg is. */
void
nvs_consumer_put_row(TupleTableSlot *slot, void *arg)
{
	tuplestore_puttupleslot(arg, slot);
}

/*
 * Delete the row that the first argument names, in the store that the second
 * one does; $1 of the statement is the name.  Returns whether it was there.
 */
bool
nvs_consumer_delete(FunctionCallInfo fcinfo, const NvsStatement *statement)
{
	NvsParams	params;
	uint64		deleted;

	nvs_spi_begin();
	nvs_params_init(&params);
	nvs_params_add_arg(&params, fcinfo, 0, TEXTOID);
	deleted = nvs_table_set_run(nvs_consumers_require(fcinfo, 1), statement,
								&params);
	nvs_spi_end();
	return deleted > 0;
}

/*
 * Read the first narrays arguments, of which the first has the names of
 * consumers, and the others, unless they are NULL, an element for each.
 * Names that are NULL are left out; the others are put in order, so that
 * calls that lock the rows one by one do not deadlock.
 */
void
nvs_consumers_named(NvsNamedConsumers *named, FunctionCallInfo fcinfo,
					const NvsConsumerArray *arrays, int narrays)
{
	NvsArrayArgs args = {"consumers", NVS_MAX_CONSUMERS};
	int			i;

	Assert(narrays <= NVS_MAX_CONSUMER_ARRAYS);
	named->arrays = arrays;
	named->narrays = narrays;
	for (i = 0; i < narrays; i++)
		if (!nvs_array_argument(&args, fcinfo, i, arrays[i].name,
								&named->values[i], &named->nulls[i]))
			named->values[i] = NULL;

	named->n = 0;
	named->consumers = palloc(sizeof(NvsNamedConsumer) * Max(args.length, 1));
	for (i = 0; i < args.length; i++)
	{
		NvsNamedConsumer *consumer = &named->consumers[named->n];

		if (named->nulls[0][i])
			continue;
		consumer->name = DatumGetTextPP(named->values[0][i]);
		consumer->index = i;
		named->n++;
	}
	qsort(named->consumers, named->n, sizeof(NvsNamedConsumer),
		  consumers_compare_named);
}

/* qsort() comparator: by the bytes of the names of two NvsNamedConsumer. */
int
nvs_consumers_compare_names(const void *a, const void *b)
{
	return nvs_text_compare(((const NvsNamedConsumer *) a)->name,
							((const NvsNamedConsumer *) b)->name);
}

/* qsort() comparator: by name, and the same name as it was given. */
static int
consumers_compare_named(const void *a, const void *b)
{
	int			cmp = nvs_consumers_compare_names(a, b);

	return cmp != 0 ? cmp : ((const NvsNamedConsumer *) a)->index -
		((const NvsNamedConsumer *) b)->index;
}

/* Begin the parameters of a statement with the elements of one consumer. */
void
nvs_consumers_named_params(const NvsNamedConsumers *named, int i,
						   NvsParams *params)
{
	int			index = named->consumers[i].index;
	int			k;

	nvs_params_init(params);
	for (k = 0; k < named->narrays; k++)
	{
		bool		isnull = named->values[k] == NULL ||
			named->nulls[k][index];

		nvs_params_add(params, named->arrays[k].type,
					   isnull ? (Datum) 0 : named->values[k][index], isnull);
	}
}

/* Has the consumer before this one the same name? */
bool
nvs_consumers_named_again(const NvsNamedConsumers *named, int i)
{
	return i > 0 &&
		nvs_consumers_compare_names(&named->consumers[i - 1],
									&named->consumers[i]) == 0;
}
