/*
 * position/marks.c
 *	  Low-water marks that were found, by store.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "position/marks.h"

static int	mark_by_store(const void *a, const void *b);
static int64 marks_find(const NvsMarks *marks, uint32 store);

/* Begin without marks; the list will be in cxt. */
void
nvs_marks_init(NvsMarks *marks, MemoryContext cxt)
{
	memset(marks, 0, sizeof(*marks));
	marks->cxt = cxt;
}

/* Have room for so many marks, of which there is none yet. */
void
nvs_marks_reserve(NvsMarks *marks, int size)
{
	marks->list = MemoryContextAlloc(marks->cxt, sizeof(NvsMark) * size);
	marks->size = size;
}

/* Forget the marks; the list keeps its room. */
void
nvs_marks_clear(NvsMarks *marks)
{
	marks->n = 0;
}

/* Add a mark. */
void
nvs_marks_add(NvsMarks *marks, uint32 store, int64 position)
{
	if (marks->size == 0)
	{
		marks->size = 16;
		marks->list = MemoryContextAlloc(marks->cxt,
										 sizeof(NvsMark) * marks->size);
	}
	else if (marks->n == marks->size)
	{
		marks->list = repalloc(marks->list,
							   sizeof(NvsMark) * marks->size * 2);
		marks->size *= 2;
	}
	marks->list[marks->n].store = store;
	marks->list[marks->n].position = position;
	marks->n++;
}

/* Add all of the others' marks. */
void
nvs_marks_add_all(NvsMarks *marks, const NvsMarks *others)
{
	int			i;

	for (i = 0; i < others->n; i++)
		nvs_marks_add(marks, others->list[i].store, others->list[i].position);
}

/* For qsort(): by store, then by position. */
static int
mark_by_store(const void *a, const void *b)
{
	const NvsMark *x = a;
	const NvsMark *y = b;

	if (x->store != y->store)
		return x->store < y->store ? -1 : 1;
	return x->position < y->position ? -1 : x->position > y->position;
}

/* Order marks by store and keep the lowest of each. */
void
nvs_marks_sort(NvsMarks *marks)
{
	int			n = 0;
	int			i;

	if (marks->n > 1)
		qsort(marks->list, marks->n, sizeof(NvsMark), mark_by_store);
	for (i = 0; i < marks->n; i++)
		if (n == 0 || marks->list[n - 1].store != marks->list[i].store)
			marks->list[n++] = marks->list[i];
	marks->n = n;
}

/* Are these the same marks in the same order? */
bool
nvs_marks_equal(const NvsMarks *a, const NvsMarks *b)
{
	int			i;

	if (a->n != b->n)
		return false;
	for (i = 0; i < a->n; i++)
		if (a->list[i].store != b->list[i].store ||
			a->list[i].position != b->list[i].position)
			return false;
	return true;
}

/* Does a mark of this store hold back readers of that one? */
bool
nvs_mark_holds(uint32 mark_store, uint32 store)
{
	return mark_store == store || mark_store == 0 || store == 0 ||
		mark_store == (store & NVS_STORE_BITS);
}

/*
 * The lowest mark that holds back readers of a store, PG_INT64_MAX when none
 * does.  The marks must be in order.
 */
int64
nvs_marks_lowest(const NvsMarks *marks, uint32 store)
{
	int64		lowest = PG_INT64_MAX;
	int			i;

	if (store != 0)
		return Min(marks_find(marks, store),
				   Min(marks_find(marks, store & NVS_STORE_BITS),
					   marks_find(marks, 0)));
	for (i = 0; i < marks->n; i++)
		lowest = Min(lowest, marks->list[i].position);
	return lowest;
}

/* The mark of just this store; PG_INT64_MAX when there is none. */
static int64
marks_find(const NvsMarks *marks, uint32 store)
{
	int			low = 0;
	int			high = marks->n;

	while (low < high)
	{
		int			middle = low + (high - low) / 2;

		if (marks->list[middle].store == store)
			return marks->list[middle].position;
		if (marks->list[middle].store < store)
			low = middle + 1;
		else
			high = middle;
	}
	return PG_INT64_MAX;
}
