/*
 * json/merge.c
 *	  libFuzzer harness for merging: two documents from the input's bytes, every
 *	  operation on them, each result against a slow and plain reference.
 *
 * Sources: src/json/build.c src/json/merge.c src/json/tree.c
 *
 * Documents are trees here (Tree).  The reference merges trees and writes them
 * with an encoder of its own; a reader checks every byte of a result.  The
 * limit on a document's size is built small, so that it is met often.
 */
#include "postgres.h"

#include "json/build.h"
#include "json/merge.h"
#include "json/tree.h"
#include "shim.h"

#define MAX_DEPTH		7
#define MAX_NODES		4000
#define CANONICAL		JB_OFFSET_STRIDE

#define CHECK(condition) \
	do { \
		if (!(condition)) \
		{ \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
			abort(); \
		} \
	} while (0)

/* The C library's own, not the server's replacement. */
#undef qsort

/* Where a merge that raises an error goes. */
static jmp_buf on_error;

/* What else of the server the sources call. */
void
check_stack_depth(void)
{
}

void *
palloc_extended(Size size, int flags)
{
	return palloc(size);
}

void *
MemoryContextAlloc(MemoryContext context, Size size)
{
	return palloc(size);
}

void *
MemoryContextAllocExtended(MemoryContext context, Size size, int flags)
{
	return palloc0(size);
}

MemoryContext
AllocSetContextCreateInternal(MemoryContext parent, const char *name,
							  Size minContextSize, Size initBlockSize,
							  Size maxBlockSize)
{
	return NULL;
}

void
MemoryContextDelete(MemoryContext context)
{
}

uint32
hash_bytes(const unsigned char *k, int keylen)
{
	uint32		hash = 2166136261u;

	while (keylen-- > 0)
		hash = (hash ^ *k++) * 16777619u;
	/* Few values, so that fields share buckets. */
	return hash % 61;
}

void
pg_qsort(void *base, size_t nel, size_t elsize,
		 int (*cmp) (const void *, const void *))
{
	qsort(base, nel, elsize, cmp);
}

/* The harness adds numbers as bytes, so these are never called. */
Numeric
int64_to_numeric(int64 val)
{
	abort();
}

bool
numeric_is_nan(Numeric num)
{
	abort();
}

bool
numeric_is_inf(Numeric num)
{
	abort();
}

char *
numeric_normalize(Numeric num)
{
	abort();
}

/* A value as a tree. */
typedef struct Tree
{
	enum
	{
		TREE_NULL,
		TREE_FALSE,
		TREE_TRUE,
		TREE_STRING,
		TREE_NUMBER,
		TREE_ARRAY,
		TREE_OBJECT
	}			type;
	const char *bytes;			/* of a string or number */
	uint32		len;
	uint32		n;				/* elements or pairs */
	struct Tree **values;
	struct Tree **keys;			/* strings, in order and without equals */
} Tree;

/* The input that is left, and how many nodes it may still make. */
typedef struct Input
{
	const uint8_t *data;
	size_t		size;
	int			nodes;
} Input;

static unsigned
take(Input *in)
{
	if (in->size == 0)
		return 0;
	in->size--;
	return *in->data++;
}

/* Memory for trees, which need no chunks of their own; zeroed. */
static void *
tree_alloc(size_t size)
{
	static char *block;
	static size_t left;
	void	   *place;

	size = (size + 7) & ~(size_t) 7;
	if (shim_nchunks == 0 || left < size)
	{
		left = size > 65536 ? size : 65536;
		block = palloc(left);
		memset(block, 0, left);
	}
	place = block;
	block += size;
	left -= size;
	return place;
}

static Tree *
make_tree(int type, const char *bytes, uint32 len)
{
	Tree	   *node = tree_alloc(sizeof(Tree));

	node->type = type;
	node->bytes = bytes;
	node->len = len;
	return node;
}

/* A string of that length, which says where it begins to differ. */
static Tree *
make_string(unsigned seed, uint32 len)
{
	char	   *bytes = tree_alloc(len + 1);
	uint32		i;

	for (i = 0; i < len; i++)
		bytes[i] = 'a' + (seed + i) % 26;
	return make_tree(TREE_STRING, bytes, len);
}

/* What the merge takes for a number: a varlena of an even size. */
static Tree *
make_number(unsigned seed)
{
	uint32		len = VARHDRSZ + 2 + seed % 7 * 2;
	char	   *bytes = tree_alloc(len);

	memset(bytes, seed, len);
	SET_VARSIZE(bytes, len);
	return make_tree(TREE_NUMBER, bytes, len);
}

/* Few keys, so that documents share them; of many lengths, some long. */
static Tree *
make_key(unsigned seed)
{
	if (seed < 160)
		return make_string(seed, 1 + seed % 3);
	return make_string(seed, seed < 250 ? seed % 12 : (seed - 249) * 60);
}

static int
key_cmp(const Tree *a, const Tree *b)
{
	if (a->len != b->len)
		return a->len < b->len ? -1 : 1;
	return memcmp(a->bytes, b->bytes, a->len);
}

static Tree *
make_list(int type, uint32 cap)
{
	Tree	   *node = make_tree(type, NULL, 0);

	node->values = tree_alloc((cap + 1) * sizeof(Tree *));
	node->keys = tree_alloc((cap + 1) * sizeof(Tree *));
	return node;
}

/* Put a pair where it belongs; it takes the place of an equal key. */
static void
put_pair(Tree *object, Tree *key, Tree *value)
{
	uint32		i = object->n;
	int			cmp = 1;

	while (i > 0 && (cmp = key_cmp(object->keys[i - 1], key)) > 0)
		i--;
	if (i > 0 && cmp == 0)
	{
		object->values[i - 1] = value;
		return;
	}
	memmove(object->keys + i + 1, object->keys + i,
			(object->n - i) * sizeof(Tree *));
	memmove(object->values + i + 1, object->values + i,
			(object->n - i) * sizeof(Tree *));
	object->keys[i] = key;
	object->values[i] = value;
	object->n++;
}

/*
 * An object of many pairs out of few bytes: every step'th of numbered keys,
 * with strings, numbers and nulls as a cheap generator says.
 */
static Tree *
make_wide_object(Input *in)
{
	uint32		n = take(in);
	uint32		step = 1 + take(in) % 5;
	uint32		state = take(in);
	Tree	   *object = make_list(TREE_OBJECT, n);
	uint32		i;

	in->nodes -= n;
	for (i = 0; i < n; i++)
	{
		uint32		number = i * step;
		char	   *digits = tree_alloc(3);
		Tree	   *value;

		digits[0] = '0' + number / 100;
		digits[1] = '0' + number / 10 % 10;
		digits[2] = '0' + number % 10;
		state = state * 1103515245 + 12345;
		if (state >> 28 == 0)
			value = make_tree(TREE_NULL, NULL, 0);
		else if (state >> 28 < 8)
			value = make_string(i, (state >> 16) % 8);
		else
			value = make_number(state >> 16);
		put_pair(object, make_tree(TREE_STRING, digits, 3), value);
	}
	return object;
}

/* A value out of the input. */
static Tree *
make_value(Input *in, int depth)
{
	unsigned	byte = take(in);
	unsigned	more;
	Tree	   *node;
	uint32		n;

	if (--in->nodes < 0 || depth > MAX_DEPTH)
		byte %= 8;
	switch (byte % 16)
	{
		case 0:
			return make_tree(TREE_NULL, NULL, 0);
		case 1:
			return make_tree(byte & 16 ? TREE_TRUE : TREE_FALSE, NULL, 0);
		case 2:
		case 3:
		case 4:
			more = take(in);
			return make_string(byte, more < 240 ? more % 9 : (more - 239) * 40);
		case 5:
		case 6:
		case 7:
			return make_number(take(in));
		case 8:
			n = take(in) % 6;
			node = make_list(TREE_ARRAY, n);
			while (node->n < n)
				node->values[node->n++] = make_value(in, depth + 1);
			return node;
		case 9:
			return make_wide_object(in);
		default:
			more = take(in);
			n = more < 200 ? more % 9 : more - 190;
			node = make_list(TREE_OBJECT, n);
			while (n-- > 0)
			{
				Tree	   *key = make_key(take(in));

				put_pair(node, key, make_value(in, depth + 1));
			}
			return node;
	}
}

/* A buffer that a document is written to. */
typedef struct Buffer
{
	char	   *data;
	uint32		len;
	uint32		cap;
} Buffer;

static void
append(Buffer *buffer, const void *bytes, uint32 len)
{
	if (buffer->len + len > buffer->cap)
	{
		buffer->cap = (buffer->len + len) * 2 + 256;
		buffer->data = realloc(buffer->data, buffer->cap);
	}
	if (len > 0)
		memcpy(buffer->data + buffer->len, bytes, len);
	buffer->len += len;
}

static uint32 encode_container(Buffer *buffer, const Tree *node, bool scalar,
							   int stride);

/* Append a value; its JEntry with its length, padding included. */
static JEntry
encode(Buffer *buffer, const Tree *node, int stride)
{
	uint32		start = buffer->len;

	if (node->type >= TREE_NUMBER)
	{
		while (buffer->len % 4 != 0)
			append(buffer, "", 1);
	}
	switch (node->type)
	{
		case TREE_NULL:
			return JENTRY_ISNULL;
		case TREE_FALSE:
			return JENTRY_ISBOOL_FALSE;
		case TREE_TRUE:
			return JENTRY_ISBOOL_TRUE;
		case TREE_STRING:
			append(buffer, node->bytes, node->len);
			return JENTRY_ISSTRING | (buffer->len - start);
		case TREE_NUMBER:
			append(buffer, node->bytes, node->len);
			return JENTRY_ISNUMERIC | (buffer->len - start);
		default:
			encode_container(buffer, node, false, stride);
			return JENTRY_ISCONTAINER | (buffer->len - start);
	}
}

/* Append a container with an offset for every stride'th child; its size. */
static uint32
encode_container(Buffer *buffer, const Tree *node, bool scalar, int stride)
{
	bool		object = (node->type == TREE_OBJECT);
	uint32		header = node->n | (object ? JB_FOBJECT : JB_FARRAY) |
		(scalar ? JB_FSCALAR : 0);
	uint32		nchildren = object ? 2 * node->n : node->n;
	uint32		start = buffer->len;
	uint32		entries;
	uint32		data;
	uint32		i;

	append(buffer, &header, sizeof(header));
	entries = buffer->len;
	for (i = 0; i < nchildren; i++)
		append(buffer, &header, sizeof(JEntry));
	data = buffer->len;
	for (i = 0; i < nchildren; i++)
	{
		const Tree *child = object && i < node->n ? node->keys[i] :
			node->values[object ? i - node->n : i];
		JEntry		entry = encode(buffer, child, stride);

		if (i % stride == 0)
			entry = (entry & JENTRY_TYPEMASK) | JENTRY_HAS_OFF |
				(buffer->len - data);
		memcpy(buffer->data + entries + i * sizeof(JEntry), &entry,
			   sizeof(JEntry));
	}
	return buffer->len - start;
}

/* A document in a chunk of just its size. */
static Jsonb *
encode_document(const Tree *node, int stride)
{
	Buffer		buffer = {NULL, 0, 0};
	Jsonb	   *result;

	append(&buffer, "\0\0\0", VARHDRSZ);
	if (node->type >= TREE_ARRAY)
		encode_container(&buffer, node, false, stride);
	else
	{
		Tree		array = {TREE_ARRAY};
		Tree	   *element = (Tree *) node;

		array.n = 1;
		array.values = &element;
		encode_container(&buffer, &array, true, stride);
	}
	result = palloc(buffer.len);
	memcpy(result, buffer.data, buffer.len);
	SET_VARSIZE(result, buffer.len);
	free(buffer.data);
	return result;
}

/* Read a container of just that size, trusting nothing. */
static Tree *
decode_container(const char *bytes, uint32 size, bool *scalar)
{
	uint32		header;
	uint32		n;
	uint32		nchildren;
	uint32		start = 0;
	uint32		i;
	bool		object;
	const char *data;
	Tree	   *node;

	CHECK(size >= sizeof(header) && (uintptr_t) bytes % 4 == 0);
	memcpy(&header, bytes, sizeof(header));
	n = header & JB_CMASK;
	object = (header & JB_FOBJECT) != 0;
	*scalar = (header & JB_FSCALAR) != 0;
	CHECK(object != ((header & JB_FARRAY) != 0));
	CHECK(!*scalar || (!object && n == 1));
	nchildren = object ? 2 * n : n;
	CHECK((size - sizeof(header)) / sizeof(JEntry) >= nchildren);
	data = bytes + sizeof(header) + nchildren * sizeof(JEntry);
	size -= data - bytes;

	node = make_list(object ? TREE_OBJECT : TREE_ARRAY, n);
	node->n = n;
	for (i = 0; i < nchildren; i++)
	{
		JEntry		entry;
		uint32		end;
		uint32		from = start;
		Tree	   *child;
		bool		child_scalar;

		memcpy(&entry, bytes + sizeof(header) + i * sizeof(JEntry),
			   sizeof(JEntry));
		end = entry & JENTRY_OFFLENMASK;
		if (!(entry & JENTRY_HAS_OFF))
			end += start;
		CHECK(end >= start && end <= size);
		entry &= JENTRY_TYPEMASK;
		CHECK(!object || i >= n || entry == JENTRY_ISSTRING);
		if (entry == JENTRY_ISNUMERIC || entry == JENTRY_ISCONTAINER)
		{
			for (; from % 4 != 0; from++)
				CHECK(from < end && data[from] == 0);
		}
		switch (entry)
		{
			case JENTRY_ISSTRING:
				child = make_tree(TREE_STRING, data + from, end - from);
				break;
			case JENTRY_ISNUMERIC:
				CHECK(end - from >= VARHDRSZ &&
					  VARSIZE(data + from) == end - from);
				child = make_tree(TREE_NUMBER, data + from, end - from);
				break;
			case JENTRY_ISCONTAINER:
				child = decode_container(data + from, end - from, &child_scalar);
				CHECK(!child_scalar);
				break;
			default:
				CHECK(end == start && entry <= JENTRY_ISNULL);
				child = make_tree(entry == JENTRY_ISNULL ? TREE_NULL :
								  entry == JENTRY_ISBOOL_TRUE ? TREE_TRUE :
								  TREE_FALSE, NULL, 0);
		}
		if (object && i < n)
		{
			node->keys[i] = child;
			CHECK(i == 0 || key_cmp(node->keys[i - 1], child) < 0);
		}
		else
			node->values[object ? i - n : i] = child;
		start = end;
	}
	CHECK(start == size);
	return node;
}

static Tree *
decode_document(const Jsonb *doc)
{
	bool		scalar;
	Tree	   *node = decode_container((const char *) &doc->root,
										VARSIZE(doc) - VARHDRSZ, &scalar);

	return scalar ? node->values[0] : node;
}

/* The value of a key, or NULL. */
static Tree *
find_value(const Tree *object, const Tree *key)
{
	uint32		i;

	for (i = 0; i < object->n; i++)
	{
		if (key_cmp(object->keys[i], key) == 0)
			return object->values[i];
	}
	return NULL;
}

/* The reference: a merge of either kind, target NULL where there is none. */
static Tree *
merge(const Tree *target, Tree *source, bool patch)
{
	Tree	   *result;
	uint32		i;

	if (source->type != TREE_OBJECT)
		return source;
	if (target == NULL || target->type != TREE_OBJECT)
	{
		if (!patch)
			return source;
		target = make_list(TREE_OBJECT, 0);
	}
	result = make_list(TREE_OBJECT, target->n + source->n);
	for (i = 0; i < target->n; i++)
	{
		if (!find_value(source, target->keys[i]))
			put_pair(result, target->keys[i], target->values[i]);
	}
	for (i = 0; i < source->n; i++)
	{
		if (source->values[i]->type != TREE_NULL)
			put_pair(result, source->keys[i],
					 merge(find_value(target, source->keys[i]),
						   source->values[i], patch));
	}
	return result;
}

/* The reference of a merge to a depth: objects below it replace as all else. */
static Tree *
merge_depth(const Tree *target, Tree *source, int depth)
{
	Tree	   *result;
	uint32		i;

	if (source->type != TREE_OBJECT || target->type != TREE_OBJECT || depth < 1)
		return source;
	result = make_list(TREE_OBJECT, target->n + source->n);
	for (i = 0; i < target->n; i++)
	{
		if (!find_value(source, target->keys[i]))
			put_pair(result, target->keys[i], target->values[i]);
	}
	for (i = 0; i < source->n; i++)
	{
		Tree	   *old = find_value(target, source->keys[i]);

		put_pair(result, source->keys[i],
				 old ? merge_depth(old, source->values[i], depth - 1)
				 : source->values[i]);
	}
	return result;
}

static bool
same_document(const Jsonb *a, const Jsonb *b)
{
	return VARSIZE(a) == VARSIZE(b) && memcmp(a, b, VARSIZE(a)) == 0;
}

/*
 * A result must be what the reference answers: the same bytes, or the same
 * tree where an argument had its offsets elsewhere.
 */
static void
check_result(const Jsonb *result, const Tree *expected, int stride)
{
	Jsonb	   *wanted = encode_document(expected, CANONICAL);

	if (stride == CANONICAL)
		CHECK(same_document(result, wanted));
	CHECK(same_document(encode_document(decode_document(result), CANONICAL),
						wanted));
}

/* Is the document too large for us to write? */
static bool
too_large(const Tree *node)
{
	return VARSIZE(encode_document(node, CANONICAL)) - VARHDRSZ >
		NVS_JSONB_MAX_SIZE;
}

/* A depth stands for one of the other merges. */
#define DEEP			-1
#define PATCH			-2

/* The merge that kind says; no target is an empty object to all but one. */
static Jsonb *
run_merge(int kind, const Jsonb *target, const Jsonb *source, bool *changed)
{
	if (kind == DEEP)
		return nvs_merge_deep(target, source, changed);
	if (kind == PATCH)
		return nvs_merge_patch(target, source, changed);
	return nvs_merge_depth(target, source, kind, changed);
}

static Tree *
run_reference(int kind, const Tree *target, Tree *source)
{
	if (target == NULL && kind != PATCH)
		target = make_list(TREE_OBJECT, 0);
	if (kind == DEEP || kind == PATCH)
		return merge(target, source, kind == PATCH);
	return merge_depth(target, source, kind);
}

/* Only the limit on the size may be met; any other error is a finding. */
static void
check_error(const Tree *expected)
{
	CHECK(shim_sqlstate == ERRCODE_PROGRAM_LIMIT_EXCEEDED);
	CHECK(too_large(expected));
}

/* One merge, its error if it must have one, and whether it says "changed". */
static void
check_merge(int kind, Tree *target, Tree *source, int stride)
{
	Jsonb	   *t = target ? encode_document(target, stride) : NULL;
	Jsonb	   *s = encode_document(source, stride);
	Tree	   *expected = run_reference(kind, target, source);
	Jsonb	   *result;
	bool		changed;

	if (setjmp(on_error) != 0)
	{
		check_error(expected);
		return;
	}
	result = run_merge(kind, t, s, &changed);
	check_result(result, expected, stride);
	CHECK(result == t || result == s || !too_large(expected));
	CHECK(changed == (t == NULL || !same_document(result, t)));
	CHECK(changed || result == t);
	if (!changed)
		CHECK(run_merge(kind, t, s, NULL) == t);
	else
		check_result(run_merge(kind, t, s, NULL), expected, stride);
}

/* A tree that takes three documents in turn, read in between. */
static void
check_tree(Tree *first, Tree *second, Tree *third, int stride)
{
	NvsJsonbTree *tree = nvs_jsonb_tree_create(NULL, NVS_NULLS_DELETE, true);
	Tree	   *steps[] = {first, second, third};
	Tree	   *expected = make_list(TREE_OBJECT, 0);
	int			i;

	for (i = 0; i < 3; i++)
	{
		Jsonb	   *source = encode_document(steps[i], stride);

		nvs_jsonb_tree_merge(tree, source);
		/* The tree has made its own copy. */
		memset(source, 0x7f, VARSIZE(source));
		pfree(source);
		expected = merge(expected, steps[i], false);
		if (setjmp(on_error) != 0)
		{
			check_error(expected);
			continue;
		}
		check_result(nvs_jsonb_tree_finish(tree), expected, stride);
	}
}

/* Add an object's pairs to a builder, backwards and some of them twice. */
static NvsJsonb *
fill_builder(const Tree *object)
{
	NvsJsonb   *b = palloc(sizeof(NvsJsonb));
	uint32		i = object->n;

	nvs_jsonb_init(b);
	while (i-- > 0)
	{
		const Tree *key = object->keys[i];
		const Tree *value = object->values[i];

		if (i % 3 == 0)
			nvs_jsonb_add_bool(b, key->bytes, key->len, i % 2 == 0);
		if (value->type == TREE_NULL)
			nvs_jsonb_add_null(b, key->bytes, key->len);
		else if (value->type == TREE_STRING)
			nvs_jsonb_add_text(b, key->bytes, key->len, value->bytes,
							   value->len);
		else if (value->type == TREE_OBJECT)
			nvs_jsonb_add_object(b, key->bytes, key->len,
								 fill_builder(value));
		else
			nvs_jsonb_add_jsonb(b, key->bytes, key->len,
								encode_document(value, CANONICAL));
	}
	return b;
}

static void
check_builder(const Tree *object)
{
	NvsJsonb   *b = fill_builder(object);
	volatile int run;

	for (run = 0; run < 2; run++)
	{
		if (setjmp(on_error) != 0)
		{
			check_error(object);
			return;
		}
		check_result(nvs_jsonb_finish(b), object, CANONICAL);
		CHECK(!too_large(object));
	}
}

int			LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const int strides[] = {CANONICAL, CANONICAL, CANONICAL, 1, 7, 1000};
	Input		in = {data, size, MAX_NODES};
	int			stride = strides[take(&in) % lengthof(strides)];
	Tree	   *target = make_value(&in, 0);
	Tree	   *source = make_value(&in, 0);

	int			kind;

	shim_catch = &on_error;
	for (kind = PATCH; kind <= 2; kind++)
	{
		if (kind == 0)
			continue;
		check_merge(kind, target, source, stride);
		check_merge(kind, NULL, source, stride);
		check_merge(kind, target, target, stride);
	}
	check_tree(target, source, target, stride);
	if (target->type == TREE_OBJECT)
		check_builder(target);
	shim_reset();
	return 0;
}
