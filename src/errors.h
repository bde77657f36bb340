/*
 * errors.h
 *	  The SQLSTATEs of nvent_store, class NV.
 *
 * A caller handles these outcomes by code; everything else is reported with
 * PostgreSQL's own codes.  A code is API: it is never given another meaning.
 */
#ifndef NVS_ERRORS_H
#define NVS_ERRORS_H

#include "postgres.h"

#include "utils/elog.h"
#include "utils/errcodes.h"

/* The stream or entry is not at the version the caller expected; retriable.
 * DETAIL is JSON: {"subject", "expected", "actual"}. */
#define ERRCODE_NVS_VERSION_CONFLICT	MAKE_SQLSTATE('N','V','0','0','1')

/* A lock or lease is no longer held with this fencing token. */
#define ERRCODE_NVS_LEASE_LOST			MAKE_SQLSTATE('N','V','0','0','2')

/* No relation serves this subject, and none may be made for it. */
#define ERRCODE_NVS_NO_ROUTE			MAKE_SQLSTATE('N','V','0','0','3')

/* Text that is not a subject (see nvent.subject_is_valid). */
#define ERRCODE_NVS_INVALID_SUBJECT		MAKE_SQLSTATE('N','V','0','0','4')

/* Text that is not a subject pattern or not a key glob. */
#define ERRCODE_NVS_INVALID_PATTERN		MAKE_SQLSTATE('N','V','0','0','5')

/* An event id that is taken by an event with other content. */
#define ERRCODE_NVS_DUPLICATE_EVENT		MAKE_SQLSTATE('N','V','0','0','6')

/* An increment met a value that is not a number. */
#define ERRCODE_NVS_NOT_A_NUMBER		MAKE_SQLSTATE('N','V','0','0','7')

/* An increment named an entry that does not exist. */
#define ERRCODE_NVS_NO_ENTRY			MAKE_SQLSTATE('N','V','0','0','8')

/* No store of this prefix, and it may not or cannot be created. */
#define ERRCODE_NVS_NO_STORE			MAKE_SQLSTATE('N','V','0','0','9')

/* An append to a stream whose last event is a tombstone. */
#define ERRCODE_NVS_STREAM_CLOSED		MAKE_SQLSTATE('N','V','0','1','0')

/* A position would go back, and nobody said that it may.
 * DETAIL is JSON: {"name", "position", "given"}. */
#define ERRCODE_NVS_POSITION_BEHIND		MAKE_SQLSTATE('N','V','0','2','0')

/* A cursor that is above all positions that were ever drawn here. */
#define ERRCODE_NVS_POSITION_AHEAD		MAKE_SQLSTATE('N','V','0','2','1')

#endif							/* NVS_ERRORS_H */
