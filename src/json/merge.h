/*
 * json/merge.h
 *	  Merging of jsonb documents, for the rest of the extension.
 *
 * All merges answer one of their arguments itself, not a copy, when that is
 * the result: a caller must not free an argument before it is done with the
 * result.  *changed, where it is asked for, is false when the result is the
 * same bytes as the target; finding that out costs no copying.
 */
#ifndef NVS_JSON_MERGE_H
#define NVS_JSON_MERGE_H

#include "postgres.h"

#include "utils/jsonb.h"

extern Jsonb *nvs_merge_deep(const Jsonb *target, const Jsonb *source,
							 bool *changed);
extern Jsonb *nvs_merge_depth(const Jsonb *target, const Jsonb *source,
							  int depth, bool *changed);
extern Jsonb *nvs_merge_patch(const Jsonb *target, const Jsonb *patch,
							  bool *changed);

#endif							/* NVS_JSON_MERGE_H */
