/*
 * jsonb_paths.h
 *	  Values deep inside a jsonb document, reached by a path of keys.
 */
#ifndef NVS_JSONB_PATHS_H
#define NVS_JSONB_PATHS_H

#include "postgres.h"

#include "jsonb_tree.h"
#include "utils/numeric.h"

/*
 * nvent.jsonb_expand_paths: {"a.b": 1} as {"a": {"b": 1}}.  The document
 * itself if no key of it has a dot.
 */
extern Jsonb *nvs_expand_paths(const Jsonb *doc);

/*
 * nvent.jsonb_increment; a NULL document counts as an empty object.  *sum,
 * where it is asked for, is the new number.
 */
extern Jsonb *nvs_increment(const Jsonb *doc, const NvsJsonbKey *path,
							int npath, Numeric by, Numeric *sum);

#endif							/* NVS_JSONB_PATHS_H */
