/*
 * json/paths.h
 *	  Values deep inside a jsonb document, reached by a path of keys.
 */
#ifndef NVS_JSON_PATHS_H
#define NVS_JSON_PATHS_H

#include "postgres.h"

#include "utils/numeric.h"

#include "json/tree.h"

/* Elements that a path may have, and all dotted keys of a document together. */
#define NVS_PATHS_MAX_ELEMENTS	1000
#define NVS_PATHS_MAX_TOTAL		100000

extern void nvs_paths_check_length(int npath, const char *path, int len);
extern Jsonb *nvs_paths_nest(const NvsJsonbKey *path, int npath,
							 NvsJsonbChild value);
extern Jsonb *nvs_paths_expand(const Jsonb *doc);
extern Jsonb *nvs_paths_set(const Jsonb *doc, const NvsJsonbKey *path,
							int npath, const Jsonb *value);
extern Jsonb *nvs_paths_increment(const Jsonb *doc, const NvsJsonbKey *path,
								  int npath, Numeric by, Numeric *sum);

#endif							/* NVS_JSON_PATHS_H */
