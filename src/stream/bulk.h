/*
 * stream/bulk.h
 *	  Inserting many events as COPY does: rows go into a page together.
 */
#ifndef NVS_STREAM_BULK_H
#define NVS_STREAM_BULK_H

#include "postgres.h"

#include "nodes/bitmapset.h"

#include "stream/append.h"

extern bool nvs_bulk_is_possible(const NvsTarget *target,
								 const bool *in_record);
extern void nvs_bulk_insert(NvsNewEvent *events, int n, Bitmapset *inserted,
							Bitmapset *selected);

#endif							/* NVS_STREAM_BULK_H */
