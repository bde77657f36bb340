/*
 * json/tree.h
 *	  A jsonb document that takes many merges in place.
 *
 * Merging into a finished document copies it; a tree pays for the keys of the
 * source only, and for the whole document once, when it is finished.
 */
#ifndef NVS_JSON_TREE_H
#define NVS_JSON_TREE_H

#include "postgres.h"

#include "json/layout.h"

/* What a null in a source does. */
typedef enum NvsTreeNulls
{
	NVS_NULLS_DELETE,			/* as in jsonb_deep_merge */
	NVS_NULLS_REPLACE			/* null is a value like others */
} NvsTreeNulls;

typedef struct NvsJsonbTree NvsJsonbTree;

/* A key and its length. */
typedef struct NvsJsonbKey
{
	const char *data;
	uint32		len;
} NvsJsonbKey;

extern NvsJsonbTree *nvs_jsonb_tree_create(MemoryContext mcxt,
										   NvsTreeNulls nulls, bool copy);
extern void nvs_jsonb_tree_merge(NvsJsonbTree *tree, const Jsonb *source);
extern void nvs_jsonb_tree_merge_at(NvsJsonbTree *tree,
									const NvsJsonbKey *path, int npath,
									NvsJsonbChild source);
extern Jsonb *nvs_jsonb_tree_finish(const NvsJsonbTree *tree);

#endif							/* NVS_JSON_TREE_H */
