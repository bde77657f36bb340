/*
 * json/build.c
 *	  Builds jsonb objects from pieces.
 *
 * Adding only notes where a piece lies.  Finishing sorts the pairs of each
 * object, drops all but the last of equal keys, bounds the size of the result
 * and writes it into one buffer.  No catalog and no SPI.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "json/build.h"

/* Below this many pairs an insertion sort beats qsort. */
#define INSERTION_SORT_MAX	24

/* How short numerics are stored, and how many digits a whole number has. */
#define NUMERIC_BASE			10000
#define NUMERIC_IS_SHORT		0x8000
#define NUMERIC_IS_NEGATIVE		0x2000
#define NUMERIC_INT64_DIGITS	5

/* Report a document that jsonb's length fields cannot express. */
void
nvs_jsonb_too_large(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("total size of jsonb object elements exceeds the maximum "
					"of %u bytes",
					(unsigned) NVS_JSONB_MAX_SIZE)));
}

/* Report an object of more pairs than PostgreSQL allows. */
void
nvs_jsonb_too_many_pairs(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("number of jsonb object pairs exceeds the maximum allowed "
					"(%zu)",
					(Size) NVS_JSONB_MAX_PAIRS)));
}

/* Prepare an empty object. */
void
nvs_jsonb_init(NvsJsonb *b)
{
	b->pairs = b->fixed;
	b->cap = NVS_JSONB_FIXED_PAIRS;
	nvs_jsonb_reset(b);
}

/*
 * Make an empty object in the current memory context that has room for npairs
 * pairs, and takes no more: where there are very many of them.
 */
NvsJsonb *
nvs_jsonb_create(uint32 npairs)
{
	NvsJsonb   *b = palloc_extended(offsetof(NvsJsonb, fixed) +
									Max(npairs, 1) * sizeof(NvsJsonbPair),
									MCXT_ALLOC_HUGE);

	b->pairs = b->fixed;
	b->cap = Max(npairs, 1);
	nvs_jsonb_reset(b);
	return b;
}

/* Remove the pairs but keep the memory, for the next row. */
void
nvs_jsonb_reset(NvsJsonb *b)
{
	b->npairs = 0;
	b->sorted = true;
}

/*
 * Double the room for pairs.  The first ones are in the builder itself, which
 * serves most records without an allocation.
 */
static void
build_grow(NvsJsonb *b)
{
	uint32		cap = b->cap * 2;

	if (b->npairs >= NVS_JSONB_MAX_PAIRS)
		nvs_jsonb_too_many_pairs();
	if (b->pairs == b->fixed)
	{
		b->pairs = palloc(cap * sizeof(NvsJsonbPair));
		memcpy(b->pairs, b->fixed, b->npairs * sizeof(NvsJsonbPair));
	}
	else
		b->pairs = repalloc_huge(b->pairs, cap * sizeof(NvsJsonbPair));
	b->cap = cap;
}

/*
 * Append a pair of that key, whose value the caller sets.  It notes whether
 * the keys are still in order: callers that add them so pay for no sorting.
 */
static NvsJsonbPair *
build_add_pair(NvsJsonb *b, const char *key, Size keylen)
{
	NvsJsonbPair *pair;

	if (keylen > NVS_JSONB_MAX_SIZE)
		nvs_jsonb_too_large();
	if (b->npairs == b->cap)
		build_grow(b);
	pair = &b->pairs[b->npairs];
	pair->key = key;
	pair->keylen = (uint32) keylen;
	pair->order = b->npairs;
	pair->nested = NULL;
	if (b->sorted && b->npairs > 0 &&
		nvs_jsonb_key_cmp(pair[-1].key, pair[-1].keylen, key, keylen) >= 0)
		b->sorted = false;
	b->npairs++;
	return pair;
}

/* Add a value that is given by its type and its bytes without padding. */
void
nvs_jsonb_add_child(NvsJsonb *b, const char *key, Size keylen,
					NvsJsonbChild value)
{
	build_add_pair(b, key, keylen)->value = value;
}

/* Add a string; value is len bytes of text in the database encoding. */
void
nvs_jsonb_add_text(NvsJsonb *b, const char *key, Size keylen,
				   const char *value, Size len)
{
	NvsJsonbChild child;

	if (len > NVS_JSONB_MAX_SIZE)
		nvs_jsonb_too_large();
	child.type = JENTRY_ISSTRING;
	child.data = value;
	child.len = (uint32) len;
	nvs_jsonb_add_child(b, key, keylen, child);
}

/*
 * A whole number as a numeric, which takes int64_to_numeric() four times as
 * long: a header that says it is short, without digits behind the point, and of
 * which weight; then the digits of base 10,000, without zeros at the end.
 */
static Numeric
build_int64(int64 value)
{
	uint64		rest = value < 0 ? 0 - (uint64) value : (uint64) value;
	int16		digits[NUMERIC_INT64_DIGITS];
	int			first = NUMERIC_INT64_DIGITS;
	int			n = NUMERIC_INT64_DIGITS;
	uint16		header = NUMERIC_IS_SHORT;
	char	   *result;
	Size		size;

	for (; rest > 0; rest /= NUMERIC_BASE)
		digits[--first] = (int16) (rest % NUMERIC_BASE);
	if (first < n)
		header |= n - first - 1;
	if (value < 0)
		header |= NUMERIC_IS_NEGATIVE;
	while (n > first && digits[n - 1] == 0)
		n--;
	size = VARHDRSZ + sizeof(uint16) + sizeof(int16) * (n - first);
	result = palloc(size);
	SET_VARSIZE(result, size);
	memcpy(result + VARHDRSZ, &header, sizeof(uint16));
	memcpy(result + VARHDRSZ + sizeof(uint16), digits + first,
		   sizeof(int16) * (n - first));
	Assert(size == VARSIZE(int64_to_numeric(value)) &&
		   memcmp(result, int64_to_numeric(value), size) == 0);
	return (Numeric) result;
}

/* Add a whole number. */
void
nvs_jsonb_add_int64(NvsJsonb *b, const char *key, Size keylen, int64 value)
{
	NvsJsonbChild child;

	child.type = JENTRY_ISNUMERIC;
	child.data = (const char *) build_int64(value);
	child.len = VARSIZE(child.data);
	nvs_jsonb_add_child(b, key, keylen, child);
}

/* Add a number; NaN and the infinities become strings, as in to_jsonb. */
void
nvs_jsonb_add_numeric(NvsJsonb *b, const char *key, Size keylen,
					  Numeric value)
{
	NvsJsonbChild child;

	if (unlikely(numeric_is_nan(value) || numeric_is_inf(value)))
	{
		char	   *text = numeric_normalize(value);

		nvs_jsonb_add_text(b, key, keylen, text, strlen(text));
		return;
	}
	child.type = JENTRY_ISNUMERIC;
	child.data = (const char *) value;
	child.len = VARSIZE(value);
	nvs_jsonb_add_child(b, key, keylen, child);
}

/* Add true or false. */
void
nvs_jsonb_add_bool(NvsJsonb *b, const char *key, Size keylen, bool value)
{
	NvsJsonbChild child = {NULL, 0, 0};

	child.type = value ? JENTRY_ISBOOL_TRUE : JENTRY_ISBOOL_FALSE;
	nvs_jsonb_add_child(b, key, keylen, child);
}

/* Add a JSON null. */
void
nvs_jsonb_add_null(NvsJsonb *b, const char *key, Size keylen)
{
	NvsJsonbChild child = {NULL, 0, JENTRY_ISNULL};

	nvs_jsonb_add_child(b, key, keylen, child);
}

/* Add a document of any kind, detoasted. */
void
nvs_jsonb_add_jsonb(NvsJsonb *b, const char *key, Size keylen,
					const Jsonb *value)
{
	nvs_jsonb_add_child(b, key, keylen, nvs_jsonb_root(value));
}

/* Add an object: what another builder holds when this one is finished. */
void
nvs_jsonb_add_object(NvsJsonb *b, const char *key, Size keylen,
					 NvsJsonb *value)
{
	NvsJsonbPair *pair = build_add_pair(b, key, keylen);

	pair->nested = value;
	pair->value.type = JENTRY_ISCONTAINER;
	pair->value.data = NULL;
	pair->value.len = 0;
}

/* qsort comparator: key order, and of equal keys the one added last first. */
static int
build_compare(const void *a, const void *b)
{
	const NvsJsonbPair *pa = a;
	const NvsJsonbPair *pb = b;
	int			cmp = nvs_jsonb_key_cmp(pa->key, pa->keylen,
										pb->key, pb->keylen);

	if (cmp == 0)
		cmp = pa->order > pb->order ? -1 : 1;
	return cmp;
}

/*
 * Sort few pairs, which are often nearly in order.  The order is that of
 * build_compare(), so both ways of sorting give the same.
 */
static void
build_insertion_sort(NvsJsonbPair *pairs, uint32 n)
{
	uint32		i;

	for (i = 1; i < n; i++)
	{
		NvsJsonbPair pair = pairs[i];
		uint32		j = i;

		while (j > 0 && build_compare(&pairs[j - 1], &pair) > 0)
		{
			pairs[j] = pairs[j - 1];
			j--;
		}
		pairs[j] = pair;
	}
}

/* Put the pairs in order and keep only the last added of equal keys. */
static void
build_sort(NvsJsonb *b)
{
	NvsJsonbPair *last = b->pairs;
	NvsJsonbPair *pair;

	if (b->sorted)
		return;
	if (b->npairs <= INSERTION_SORT_MAX)
		build_insertion_sort(b->pairs, b->npairs);
	else
		qsort(b->pairs, b->npairs, sizeof(NvsJsonbPair), build_compare);

	/* Of equal keys the one to keep comes first; skip the others. */
	for (pair = last + 1; pair < b->pairs + b->npairs; pair++)
	{
		if (nvs_jsonb_key_cmp(last->key, last->keylen,
							  pair->key, pair->keylen) != 0)
			*++last = *pair;
	}
	b->npairs = last - b->pairs + 1;
	b->sorted = true;
}

/*
 * Sort the object and all below it.  Returns the most bytes that it can take:
 * a few bytes of padding more than it will, at most.
 */
static Size
build_prepare(NvsJsonb *b)
{
	Size		size = 2 * sizeof(uint32);
	uint32		i;

	check_stack_depth();
	CHECK_FOR_INTERRUPTS();
	build_sort(b);
	for (i = 0; i < b->npairs; i++)
	{
		NvsJsonbPair *pair = &b->pairs[i];

		size += 2 * sizeof(JEntry) + pair->keylen + sizeof(uint32);
		if (pair->nested)
			size += build_prepare(pair->nested);
		else
			size += pair->value.len;

		/* No sum of such sizes wraps; the exact limits are met in writing. */
		if (size > MaxAllocSize)
			nvs_jsonb_too_large();
	}
	return size;
}

/*
 * Write the prepared object: all keys, then all values, as jsonb has them.
 * Returns its size as a child, padding included.
 */
static Size
build_write(NvsJsonbOut *out, NvsJsonb *b)
{
	NvsJsonbWriter w;
	uint32		i;

	check_stack_depth();

	/* The keys, which are in their order by now. */
	nvs_jsonb_begin(&w, out, b->npairs);
	for (i = 0; i < b->npairs; i++)
	{
		NvsJsonbChild key;

		key.type = JENTRY_ISSTRING;
		key.data = b->pairs[i].key;
		key.len = b->pairs[i].keylen;
		nvs_jsonb_put(&w, key);
	}

	/* The values, in the order of the keys; objects are written in place. */
	for (i = 0; i < b->npairs; i++)
	{
		NvsJsonbPair *pair = &b->pairs[i];

		if (pair->nested)
		{
			Size		len = build_write(out, pair->nested);

			nvs_jsonb_put_entry(&w, JENTRY_ISCONTAINER, len);
		}
		else
			nvs_jsonb_put(&w, pair->value);
	}
	return nvs_jsonb_end(&w);
}

/*
 * The document that the builder holds, in the current memory context.  The
 * builder keeps its pairs, sorted, until reset; nested builders keep theirs.
 */
Jsonb *
nvs_jsonb_finish(NvsJsonb *b)
{
	NvsJsonbOut out;

	nvs_jsonb_out_init(&out, VARHDRSZ + build_prepare(b));
	build_write(&out, b);
	return nvs_jsonb_out_finish(&out);
}

/* A document of its own that is a copy of a child, of whatever type. */
Jsonb *
nvs_jsonb_from_child(NvsJsonbChild child)
{
	NvsJsonbOut out;

	nvs_jsonb_out_init(&out, VARHDRSZ + 2 * sizeof(uint32) + child.len);
	if (child.type == JENTRY_ISCONTAINER)
		memcpy(nvs_jsonb_reserve(&out, child.len), child.data, child.len);
	else
	{
		NvsJsonbWriter w;

		/* A scalar root is an array of one element with a flag. */
		w.out = &out;
		w.start = out.len;
		w.index = 0;
		*(uint32 *) nvs_jsonb_reserve(&out, sizeof(uint32)) =
			1 | JB_FARRAY | JB_FSCALAR;
		w.entries = out.len;
		nvs_jsonb_reserve(&out, sizeof(JEntry));
		w.data = out.len;
		nvs_jsonb_put(&w, child);
	}
	return nvs_jsonb_out_finish(&out);
}
