/*
 * position/marks.h
 *	  Low-water marks that were found, by store.
 */
#ifndef NVS_POSITION_MARKS_H
#define NVS_POSITION_MARKS_H

#include "postgres.h"

/*
 * A store's number, here and in shared memory.  0 is any store: a mark of it
 * holds back the readers of all, and who asks for it asks for what is settled
 * in all.  A lock's tag has room for its low bits only, which are never 0: a
 * mark with a number so low is of each store with these bits.
 */
#define NVS_STORE_BITS	0x7FFF

/* The lowest mark of a store. */
typedef struct NvsMark
{
	uint32		store;
	int64		position;
} NvsMark;

/* Marks; the list is in the memory context that nvs_marks_init() was told. */
typedef struct NvsMarks
{
	MemoryContext cxt;
	NvsMark    *list;
	int			n;
	int			size;
} NvsMarks;

extern void nvs_marks_init(NvsMarks *marks, MemoryContext cxt);
extern void nvs_marks_reserve(NvsMarks *marks, int size);
extern void nvs_marks_clear(NvsMarks *marks);
extern void nvs_marks_add(NvsMarks *marks, uint32 store, int64 position);
extern void nvs_marks_add_all(NvsMarks *marks, const NvsMarks *others);
extern void nvs_marks_sort(NvsMarks *marks);
extern bool nvs_marks_equal(const NvsMarks *a, const NvsMarks *b);
extern bool nvs_mark_holds(uint32 mark_store, uint32 store);
extern int64 nvs_marks_lowest(const NvsMarks *marks, uint32 store);

#endif							/* NVS_POSITION_MARKS_H */
