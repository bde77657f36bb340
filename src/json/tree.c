/*
 * json/tree.c
 *	  A jsonb document that takes many merges in place.
 *
 * A value is bytes of some document until something is merged into it; only
 * then does an object become a hash table of its values.  So the tree is as
 * deep as the merges went, and what they did not touch is still bytes when the
 * document is finished.  Bytes that a table's values point into belong to the
 * table and go with it.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "json/build.h"
#include "json/tree.h"

struct fields_hash;

/* An object that has been opened. */
typedef struct TreeObject
{
	struct fields_hash *fields;
	char	   *backing;		/* NULL, or bytes that fields point into */
} TreeObject;

/* A value: an opened object, or bytes. */
typedef struct TreeValue
{
	TreeObject *object;			/* NULL: the value is what bytes says */
	NvsJsonbChild bytes;
	char	   *owned;			/* NULL, or the copy that bytes points to */
} TreeValue;

typedef struct TreeField
{
	NvsJsonbKey key;
	uint32		hash;
	char		status;
	bool		key_owned;		/* its bytes are a copy of ours */
	TreeValue	value;
} TreeField;

struct NvsJsonbTree
{
	MemoryContext mcxt;
	NvsTreeNulls nulls;
	bool		copy;			/* sources do not outlive the merge */
	TreeValue	root;
};

/* Are two keys the same? */
static inline bool
tree_same_key(NvsJsonbKey a, NvsJsonbKey b)
{
	return a.len == b.len && memcmp(a.data, b.data, a.len) == 0;
}

#define SH_PREFIX		fields
#define SH_ELEMENT_TYPE	TreeField
#define SH_KEY_TYPE		NvsJsonbKey
#define SH_KEY			key
#define SH_HASH_KEY(tb, k) \
	hash_bytes((const unsigned char *) (k).data, (int) (k).len)
#define SH_EQUAL(tb, a, b) tree_same_key(a, b)
#define SH_STORE_HASH
#define SH_GET_HASH(tb, a) (a)->hash
#define SH_SCOPE		static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

static void tree_merge_object(NvsJsonbTree *tree, TreeObject *object,
							  const JsonbContainer *source);
static void tree_free_value(TreeValue *value);

/* Make an opened object without fields, but with room for some. */
static TreeObject *
tree_make_object(NvsJsonbTree *tree, uint32 nfields)
{
	TreeObject *object = MemoryContextAlloc(tree->mcxt, sizeof(TreeObject));

	object->fields = fields_create(tree->mcxt, nfields, NULL);
	object->backing = NULL;
	return object;
}

/* Free an opened object and all below it. */
static void
tree_free_object(TreeObject *object)
{
	fields_iterator it;
	TreeField  *field;

	check_stack_depth();
	fields_start_iterate(object->fields, &it);
	while ((field = fields_iterate(object->fields, &it)) != NULL)
	{
		if (field->key_owned)
			pfree(unconstify(char *, field->key.data));
		tree_free_value(&field->value);
	}
	fields_destroy(object->fields);
	if (object->backing)
		pfree(object->backing);
	pfree(object);
}

/* Free what a value holds. */
static void
tree_free_value(TreeValue *value)
{
	if (value->object)
		tree_free_object(value->object);
	if (value->owned)
		pfree(value->owned);
	value->object = NULL;
	value->owned = NULL;
}

/* A copy of bytes that lives as long as the tree. */
static char *
tree_copy_bytes(NvsJsonbTree *tree, const char *data, uint32 len)
{
	return memcpy(MemoryContextAlloc(tree->mcxt, Max(len, 1)), data, len);
}

/* Have the value be these bytes, in place of what it was. */
static void
tree_set_bytes(NvsJsonbTree *tree, TreeValue *value, NvsJsonbChild bytes)
{
	tree_free_value(value);
	if (tree->copy && bytes.len > 0)
	{
		value->owned = tree_copy_bytes(tree, bytes.data, bytes.len);
		bytes.data = value->owned;
	}
	value->bytes = bytes;
}

/*
 * The field of that key, made without a value if it does not exist; *found
 * says which.  With copy, a key that is new is copied.
 */
static TreeField *
tree_put_field(NvsJsonbTree *tree, TreeObject *object, NvsJsonbKey key,
			   bool copy,
			   bool *found)
{
	TreeField  *field = fields_insert(object->fields, key, found);

	if (!*found)
	{
		field->value.object = NULL;
		field->value.owned = NULL;
		field->key_owned = copy;
		if (copy)
			field->key.data = tree_copy_bytes(tree, key.data, key.len);
	}
	return field;
}

/* Remove the field of that key if there is one. */
static void
tree_drop_field(TreeObject *object, NvsJsonbKey key)
{
	TreeField  *field = fields_lookup(object->fields, key);

	if (field == NULL)
		return;
	if (field->key_owned)
		pfree(unconstify(char *, field->key.data));
	tree_free_value(&field->value);
	fields_delete_item(object->fields, field);
}

/* Is the value an object, opened or not? */
static inline bool
tree_is_object(const TreeValue *value)
{
	return value->object != NULL || nvs_jsonb_is_object(value->bytes);
}

/*
 * Open the object that the value is: a field for each of its pairs, with the
 * values still as bytes of the object.
 */
static TreeObject *
tree_open(NvsJsonbTree *tree, TreeValue *value)
{
	const JsonbContainer *jc;
	TreeObject *object;
	uint32		n;
	uint32		keyoff = 0;
	uint32		valoff;
	uint32		i;

	if (value->object)
		return value->object;

	/* A hash of its fields, each still with its bytes. */
	jc = (const JsonbContainer *) value->bytes.data;
	n = JsonContainerSize(jc);
	object = tree_make_object(tree, n + 2);
	valoff = nvs_jsonb_offset(jc, n);
	for (i = 0; i < n; i++)
	{
		NvsJsonbChild child = nvs_jsonb_child_at(jc, i, keyoff);
		NvsJsonbKey key = {child.data, child.len};
		TreeField  *field;
		bool		found;

		/* The bytes stay with the object, so nothing in them is copied. */
		field = tree_put_field(tree, object, key, false, &found);
		field->value.bytes = nvs_jsonb_child_at(jc, n + i, valoff);
		keyoff = nvs_jsonb_child_end(jc, i, keyoff);
		valoff = nvs_jsonb_child_end(jc, n + i, valoff);
	}

	/* What was copied for the value is the object's to free from now on. */
	object->backing = value->owned;
	value->owned = NULL;
	value->object = object;
	return object;
}

/*
 * Merge a source into a value: objects merge, anything else replaces.  What
 * replaces goes in as it is, nulls inside included.
 */
static void
tree_merge_value(NvsJsonbTree *tree, TreeValue *value, NvsJsonbChild source)
{
	if (nvs_jsonb_is_object(source) && tree_is_object(value))
		tree_merge_object(tree, tree_open(tree, value),
						  (const JsonbContainer *) source.data);
	else
		tree_set_bytes(tree, value, source);
}

/*
 * Merge each pair of the source into an opened object.  What comes in is
 * copied into the tree's memory context if the tree copies, else it stays
 * where it is.
 */
static void
tree_merge_object(NvsJsonbTree *tree, TreeObject *object,
				  const JsonbContainer *source)
{
	uint32		n = JsonContainerSize(source);
	uint32		keyoff = 0;
	uint32		valoff = nvs_jsonb_offset(source, n);
	uint32		i;

	/* Objects in it are merged by another call, as deep as they are nested. */
	check_stack_depth();
	for (i = 0; i < n; i++)
	{
		NvsJsonbChild child = nvs_jsonb_child_at(source, i, keyoff);
		NvsJsonbChild value = nvs_jsonb_child_at(source, n + i, valoff);
		NvsJsonbKey key = {child.data, child.len};

		CHECK_FOR_INTERRUPTS();
		keyoff = nvs_jsonb_child_end(source, i, keyoff);
		valoff = nvs_jsonb_child_end(source, n + i, valoff);

		/* A null removes or is a value, as the tree was made for. */
		if (value.type == JENTRY_ISNULL && tree->nulls == NVS_NULLS_DELETE)
			tree_drop_field(object, key);
		else
		{
			bool		found;
			TreeField  *field = tree_put_field(tree, object, key, tree->copy,
											   &found);

			if (found)
				tree_merge_value(tree, &field->value, value);
			else
				tree_set_bytes(tree, &field->value, value);
		}
	}
}

/*
 * An empty object, to be kept in mcxt.  With copy, sources need not outlive
 * the call that merges them; without, they must outlive the tree.
 */
NvsJsonbTree *
nvs_jsonb_tree_create(MemoryContext mcxt, NvsTreeNulls nulls, bool copy)
{
	NvsJsonbTree *tree = MemoryContextAlloc(mcxt, sizeof(NvsJsonbTree));

	tree->mcxt = mcxt;
	tree->nulls = nulls;
	tree->copy = copy;
	tree->root.owned = NULL;
	tree->root.object = tree_make_object(tree, 2);
	return tree;
}

/* Merge a document into the tree's. */
void
nvs_jsonb_tree_merge(NvsJsonbTree *tree, const Jsonb *source)
{
	tree_merge_value(tree, &tree->root, nvs_jsonb_root(source));
}

/*
 * Merge a value into what the path leads to.  What is missing on the way is
 * made an object, and what is no object there is replaced by one.
 */
void
nvs_jsonb_tree_merge_at(NvsJsonbTree *tree, const NvsJsonbKey *path,
						int npath, NvsJsonbChild source)
{
	TreeValue  *value = &tree->root;
	bool		found = true;
	int			i;

	for (i = 0; i < npath; i++)
	{
		if (!found || !tree_is_object(value))
		{
			tree_free_value(value);
			value->object = tree_make_object(tree, 2);
		}
		value = &tree_put_field(tree, tree_open(tree, value), path[i],
								tree->copy, &found)->value;
	}
	if (found)
		tree_merge_value(tree, value, source);
	else
		tree_set_bytes(tree, value, source);
}

/*
 * A builder, in the current memory context, of all that an object holds.  The
 * builder sorts: fields come in the order of their hashes.
 */
static NvsJsonb *
tree_builder(const TreeObject *object)
{
	NvsJsonb   *b = nvs_jsonb_create(object->fields->members);
	fields_iterator it;
	TreeField  *field;

	check_stack_depth();
	CHECK_FOR_INTERRUPTS();
	fields_start_iterate(object->fields, &it);
	while ((field = fields_iterate(object->fields, &it)) != NULL)
	{
		if (field->value.object)
			nvs_jsonb_add_object(b, field->key.data, field->key.len,
								 tree_builder(field->value.object));
		else
			nvs_jsonb_add_child(b, field->key.data, field->key.len,
								field->value.bytes);
	}
	return b;
}

/* The document as it is now, in the current memory context. */
Jsonb *
nvs_jsonb_tree_finish(const NvsJsonbTree *tree)
{
	MemoryContext scratch;
	MemoryContext caller;
	NvsJsonb   *b;
	Jsonb	   *result;

	if (tree->root.object == NULL)
		return nvs_jsonb_from_child(tree->root.bytes);
	/* Builders go when the document is made; it stays with the caller. */
	scratch = AllocSetContextCreate(CurrentMemoryContext,
									"nvent_store jsonb tree",
									ALLOCSET_DEFAULT_SIZES);
	caller = MemoryContextSwitchTo(scratch);
	b = tree_builder(tree->root.object);
	MemoryContextSwitchTo(caller);
	result = nvs_jsonb_finish(b);
	MemoryContextDelete(scratch);
	return result;
}
