/*
 * stream/statement.c
 *	  Pieces of statements on the relations of streams.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "base/arg.h"
#include "stream/statement.h"

/* So many types are compared one by one. */
#define FEW_TYPES	32

/*
 * Add a parameter that is an array of n values of a type; nulls may be NULL.
 * Returns its number.
 */
int
nvs_stream_add_array(NvsParams *params, Oid type, const Datum *values,
					 const bool *nulls, int n)
{
	return nvs_params_add(params, get_array_type(type),
						  nvs_array_of(type, values, nulls, n), false);
}

/*
 * Add the condition that an event has one of the types, a text[].  Returns
 * whether the statement is to be planned for their values: each event is
 * compared with all of them one by one, unless they are many and a constant, of
 * which the executor makes a hash table.  Such a statement has a text of its
 * own.
 */
bool
nvs_stream_types(NvsParams *params, StringInfo sql, Datum types)
{
	ArrayType  *array = DatumGetArrayTypeP(types);
	bool		many = ArrayGetNItems(ARR_NDIM(array),
									  ARR_DIMS(array)) > FEW_TYPES;
	int			p = nvs_params_add(params, TEXTARRAYOID,
								   PointerGetDatum(array), false);

	appendStringInfo(sql, " AND type OPERATOR(pg_catalog.=) ANY ($%d%s)", p,
					 many ? "::pg_catalog.text[]" : "");
	return many;
}

/*
 * Is a stream found by one column of text?  Then its rows are a range of
 * (that column, position), which nvs_stream_range() can say.
 */
bool
nvs_stream_has_range(const NvsTarget *target)
{
	return target->nkeys == 1 && target->keys[0].filters &&
		target->keys[0].field->kind == NVS_FIELD_TEXT;
}

/*
 * Add the condition of a range of (key, column) within one key, parameter
 * key; from and upto are operators with their operands.  To be read in the
 * order of key and column.
 *
 * Said with an equality, the order would be that of the column alone, which
 * its own index has too; and a plan for any parameters may walk that one
 * through the whole table for the few rows of a key, if most rows are of
 * another.  The two inequalities on the key alone say how little it is.
 *
 * From PostgreSQL 18 on a scan begins and ends by one condition for each end:
 * of equal operators by the first, else by > rather than >= and by <= rather
 * than <.  So that it is the pairs, they come first, and upto is a <=.  Before
 * that a scan does not end by a pair, but with the key.
 */
void
nvs_stream_range(const NvsTarget *target, StringInfo sql, int key,
				 const char *column, const char *from, const char *upto)
{
	const char *name = target->keys[0].field->quoted;
	const char *bounds[2];
	int			i;

	bounds[0] = from;
	bounds[1] = upto;
	for (i = 0; i < 2; i++)
	{
		int			len = strcspn(bounds[i], " ");

		appendStringInfo(sql, "ROW(%s, %s) OPERATOR(pg_catalog.%.*s) "
						 "ROW($%d, %s) AND ", name, column, len, bounds[i],
						 key, bounds[i] + len + 1);
	}
	appendStringInfo(sql, "%s OPERATOR(pg_catalog.>=) $%d "
					 "AND %s OPERATOR(pg_catalog.<=) $%d", name, key, name,
					 key);
}

/*
 * A row's subject as an expression: its column, or what the route's pattern
 * makes of the key columns.
 */
char *
nvs_stream_subject(const NvsTarget *target)
{
	const NvsPattern *held = target->route->pattern;
	StringInfoData sql;
	int			capture = 0;
	int			i;

	if (target->nkeys > 0 && target->keys[0].capture < 0)
		return psprintf("%s::pg_catalog.text",
						target->keys[0].field->quoted);

	/*
	 * Tokens that are not literal are all captured: the relation has no
	 * column for the whole.
	 */
	initStringInfo(&sql);
	appendStringInfoString(&sql, "pg_catalog.concat_ws(':'");
	for (i = 0; i < held->ntokens; i++)
	{
		const NvsPatternToken *token = &held->tokens[i];
		char	   *literal;

		if (token->kind != NVS_TOKEN_LITERAL)
		{
			appendStringInfo(&sql, ", %s::pg_catalog.text",
							 target->keys[capture++].field->quoted);
			continue;
		}

		literal = pnstrdup(held->bytes + token->offset, token->len);
		appendStringInfo(&sql, ", %s", quote_literal_cstr(literal));
	}
	appendStringInfoChar(&sql, ')');
	return sql.data;
}
