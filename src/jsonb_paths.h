/*
 * jsonb_paths.h
 *	  Values deep inside a jsonb document, reached by a path of keys.
 */
#ifndef NVS_JSONB_PATHS_H
#define NVS_JSONB_PATHS_H

#include "postgres.h"

#include "jsonb_tree.h"
#include "utils/numeric.h"

extern Jsonb *nvs_expand_paths(const Jsonb *doc);
extern Jsonb *nvs_set_path(const Jsonb *doc, const NvsJsonbKey *path,
						   int npath, const Jsonb *value);
extern Jsonb *nvs_increment(const Jsonb *doc, const NvsJsonbKey *path,
							int npath, Numeric by, Numeric *sum);

#endif							/* NVS_JSONB_PATHS_H */
