/*
 * stream/write.h
 *	  Statements that change the relation of a stream.
 */
#ifndef NVS_STREAM_WRITE_H
#define NVS_STREAM_WRITE_H

#include "postgres.h"

#include "stream/state.h"

extern uint64 nvs_stream_write(const NvsTarget *target, SPIPlanPtr plan,
							   const NvsParams *params,
							   NvsRowFunction function, void *arg);
extern bool nvs_stream_take_pass(Oid relid);

#endif							/* NVS_STREAM_WRITE_H */
