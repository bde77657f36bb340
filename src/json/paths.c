/*
 * json/paths.c
 *	  Dotted keys, values set and increments: deep inside a document.
 *
 * All come down to a merge.  Dotted keys go into a tree, since any of them may
 * meet any other; the others make a document of one value and merge that, so
 * the rest is copied as bytes.
 */
#include "postgres.h"

#include "fmgr.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "json/build.h"
#include "json/merge.h"
#include "json/paths.h"

/* Elements of a path that need no allocation. */
#define FIXED_PATH		8

/* The name of a value's type, as jsonb_typeof says it. */
static const char *
paths_type_name(NvsJsonbChild child)
{
	switch (child.type)
	{
		case JENTRY_ISSTRING:
			return "string";
		case JENTRY_ISNUMERIC:
			return "number";
		case JENTRY_ISNULL:
			return "null";
		case JENTRY_ISCONTAINER:
			return nvs_jsonb_is_object(child) ? "object" : "array";
		default:
			return "boolean";
	}
}

/* Report a key such as "a..b". */
static void
paths_empty_element(NvsJsonbChild key)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("path \"%.*s\" has an empty element",
					pg_mbcliplen(key.data, key.len, 100), key.data),
			 errhint("Dots in a top-level key separate nested keys; "
					 "inside a nested object they are part of the key.")));
}

/*
 * Raise an error for a path of too many elements.  What is made of a path
 * takes far more memory than the path.  path is how it was written, with dots;
 * NULL for an array.
 */
void
nvs_paths_check_length(int npath, const char *path, int len)
{
	if (npath <= NVS_PATHS_MAX_ELEMENTS)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 path == NULL ? errmsg("path has too many elements") :
			 errmsg("path \"%.*s...\" has too many elements",
					pg_mbcliplen(path, len, 40), path),
			 errdetail("A path has at most %d; this one has %d.",
					   NVS_PATHS_MAX_ELEMENTS, npath)));
}

/*
 * Split a key at its dots into *path, which is made longer if need be.
 * Returns the number of elements; they point into the key.
 */
static int
paths_split(NvsJsonbChild key, NvsJsonbKey **path, int *cap)
{
	const char *start = key.data;
	const char *stop = key.data + key.len;
	const char *dot = start;
	int			n = 1;
	int			i;

	/* How many there are, which may be too many to make room for. */
	while ((dot = memchr(dot, '.', stop - dot)) != NULL)
	{
		dot++;
		n++;
	}
	nvs_paths_check_length(n, key.data, key.len);
	if (n > *cap)
	{
		*cap = n;
		*path = repalloc(*path, n * sizeof(NvsJsonbKey));
	}

	/* Each of them, of which none may be empty. */
	for (i = 0; i < n; i++)
	{
		const char *end = memchr(start, '.', stop - start);

		if (end == NULL)
			end = stop;
		if (end == start)
			paths_empty_element(key);
		(*path)[i].data = start;
		(*path)[i].len = end - start;
		start = end + 1;
	}
	return n;
}

/* Has any key of the object a dot?  All keys lie side by side. */
static bool
paths_any_dot(const JsonbContainer *jc)
{
	return memchr(nvs_jsonb_data(jc), '.',
				  nvs_jsonb_offset(jc, JsonContainerSize(jc))) != NULL;
}

/* Raise an error for a document whose paths have too many elements. */
static void
paths_check_total(int total)
{
	if (total > NVS_PATHS_MAX_TOTAL)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("paths of a document have too many elements"),
				 errdetail("All dotted keys of a document have at most %d.",
						   NVS_PATHS_MAX_TOTAL)));
}

/*
 * The document with what its dotted top-level keys say nested, in the current
 * memory context; itself if it has none.  Raises an error when it is no
 * object, or a path is too long or has an empty element, or all of them are
 * too long together.
 */
Jsonb *
nvs_paths_expand(const Jsonb *doc)
{
	const JsonbContainer *jc = &doc->root;
	uint32		n = JsonContainerSize(jc);
	int			cap = FIXED_PATH;
	int			total = 0;
	NvsJsonbKey *path;
	NvsJsonbTree *tree;
	uint32		i;

	if (!JsonContainerIsObject(jc))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("cannot expand the paths of a document that is not an "
						"object"),
				 errdetail("The document is of type %s.",
						   paths_type_name(nvs_jsonb_root(doc)))));

	/* Most documents are as they are to be, and need no copy. */
	if (!paths_any_dot(jc))
		return unconstify(Jsonb *, doc);

	/* All keys go into a tree, so that those that share a beginning merge. */
	path = palloc(cap * sizeof(NvsJsonbKey));
	tree = nvs_jsonb_tree_create(CurrentMemoryContext, NVS_NULLS_REPLACE,
								 false);
	for (i = 0; i < n; i++)
	{
		NvsJsonbChild key = nvs_jsonb_child(jc, i);
		int			npath = 1;

		CHECK_FOR_INTERRUPTS();
		/* A path may make as many objects as it has elements. */
		if (memchr(key.data, '.', key.len))
		{
			npath = paths_split(key, &path, &cap);
			total += npath;
			paths_check_total(total);
		}
		else
		{
			path[0].data = key.data;
			path[0].len = key.len;
		}
		nvs_jsonb_tree_merge_at(tree, path, npath, nvs_jsonb_child(jc, n + i));
	}
	pfree(path);
	return nvs_jsonb_tree_finish(tree);
}

/* The first n elements of a path with dots between them. */
static char *
paths_text(const NvsJsonbKey *path, int n)
{
	StringInfoData text;
	int			i;

	initStringInfo(&text);
	for (i = 0; i < n; i++)
	{
		if (i > 0)
			appendStringInfoChar(&text, '.');
		appendBinaryStringInfo(&text, path[i].data, path[i].len);
	}
	return text.data;
}

/* Report that an object was needed where npath elements of the path lead. */
static void
paths_not_an_object(const NvsJsonbKey *path, int npath, NvsJsonbChild value)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("path leads below a value that is not an object"),
			 npath == 0
			 ? errdetail("The document is of type %s.", paths_type_name(value))
			 : errdetail("The value at path \"%s\" is of type %s.",
						 paths_text(path, npath), paths_type_name(value))));
}

/*
 * Find the value at the path.  Returns false if there is none but could be;
 * raises an error if something on the way is no object.  A NULL document is an
 * empty object.
 */
static bool
paths_find(const Jsonb *doc, const NvsJsonbKey *path, int npath,
		   NvsJsonbChild *value)
{
	int			i;

	if (npath == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("path must not be empty")));
	if (!doc)
		return false;
	*value = nvs_jsonb_root(doc);
	for (i = 0; i < npath; i++)
	{
		if (!nvs_jsonb_is_object(*value))
			paths_not_an_object(path, i, *value);
		if (!nvs_jsonb_get((const JsonbContainer *) value->data,
						   path[i].data, path[i].len, value))
			return false;
	}
	return true;
}

/*
 * The number at the path, or NULL if there is none yet.  It lies in the
 * document, where numbers are aligned as a numeric has to be.
 */
static Numeric
paths_number(const Jsonb *doc, const NvsJsonbKey *path, int npath)
{
	NvsJsonbChild value;

	if (!paths_find(doc, path, npath, &value) || value.type == JENTRY_ISNULL)
		return NULL;
	if (value.type != JENTRY_ISNUMERIC)
		ereport(ERROR,
				(errcode(ERRCODE_NVS_NOT_A_NUMBER),
				 errmsg("cannot increment a value that is not a number"),
				 errdetail("The value at path \"%s\" is of type %s.",
						   paths_text(path, npath), paths_type_name(value))));
	return (Numeric) value.data;
}

/*
 * The document that has a value at the path, and nothing else: a builder for
 * each level, finished from the outermost.
 */
Jsonb *
nvs_paths_nest(const NvsJsonbKey *path, int npath, NvsJsonbChild value)
{
	NvsJsonb   *levels = palloc(npath * sizeof(NvsJsonb));
	Jsonb	   *result;
	int			i = npath - 1;

	nvs_jsonb_init(&levels[i]);
	nvs_jsonb_add_child(&levels[i], path[i].data, path[i].len, value);
	while (--i >= 0)
	{
		nvs_jsonb_init(&levels[i]);
		nvs_jsonb_add_object(&levels[i], path[i].data, path[i].len,
							 &levels[i + 1]);
	}
	result = nvs_jsonb_finish(&levels[0]);
	pfree(levels);
	return result;
}

/* The document with a value at the path, whatever was there. */
static Jsonb *
paths_set_child(const Jsonb *doc, const NvsJsonbKey *path, int npath,
				NvsJsonbChild value)
{
	return nvs_merge_depth(doc, nvs_paths_nest(path, npath, value), npath,
						   NULL);
}

/*
 * The document with a value at the path, and objects where they lack on the
 * way; itself if the value is there already.  A NULL document is an empty
 * object.
 */
Jsonb *
nvs_paths_set(const Jsonb *doc, const NvsJsonbKey *path, int npath,
			  const Jsonb *value)
{
	NvsJsonbChild old;

	paths_find(doc, path, npath, &old);
	return paths_set_child(doc, path, npath, nvs_jsonb_root(value));
}

/*
 * The document with the number at the path increased, or put there where there
 * is none.  A NULL document is an empty object; *sum, where it is asked for,
 * is the new number.  Raises NV007 for a value that is no number.
 */
Jsonb *
nvs_paths_increment(const Jsonb *doc, const NvsJsonbKey *path, int npath,
					Numeric by, Numeric *sum)
{
	Numeric		number = paths_number(doc, path, npath);
	NvsJsonbChild value;

	if (numeric_is_nan(by) || numeric_is_inf(by))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("increment must be a finite number")));
	if (number)
		number = DatumGetNumeric(DirectFunctionCall2(numeric_add,
													 NumericGetDatum(number),
													 NumericGetDatum(by)));
	else
		number = by;
	if (sum)
		*sum = number;
	value.type = JENTRY_ISNUMERIC;
	value.data = (const char *) number;
	value.len = VARSIZE_ANY(number);
	return paths_set_child(doc, path, npath, value);
}
