/*
 * stream/statement.h
 *	  Pieces of statements on the relations of streams.
 */
#ifndef NVS_STREAM_STATEMENT_H
#define NVS_STREAM_STATEMENT_H

#include "postgres.h"

#include "stream/state.h"

extern int	nvs_stream_add_array(NvsParams *params, Oid type,
								 const Datum *values, const bool *nulls,
								 int n);
extern bool nvs_stream_types(NvsParams *params, StringInfo sql, Datum types);
extern bool nvs_stream_has_range(const NvsTarget *target);
extern void nvs_stream_range(const NvsTarget *target, StringInfo sql, int key,
							 const char *column, const char *from,
							 const char *upto);
extern char *nvs_stream_subject(const NvsTarget *target);

#endif							/* NVS_STREAM_STATEMENT_H */
