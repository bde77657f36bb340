/*
 * queue/hint.c
 *	  What sessions tell one another of where to look for jobs.
 *
 * Each of them could find out by itself, by stepping over what the others have
 * taken.  A hint is of the table as it is stored, so that one which was emptied
 * and filled again has none.  Where there is no shared memory, or no room in
 * it, each session knows what it has seen.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "miscadmin.h"

#include "position/shmem.h"
#include "queue/internal.h"

/* Places in which a hint may be. */
#define HINT_WAYS	4

/* Which level a hint is of. */
typedef struct HintKey
{
	Oid			database;
	Oid			storage;
	int32		queue;
	int32		priority;
} HintKey;

static NvsHint *hint_places(const NvsQueue *queue, const NvsLevel *level,
							HintKey *key);
static bool hint_is_of(const NvsHint *hint, const HintKey *key);

/* The places where the hint of a level may be; NULL when there are none. */
static NvsHint *
hint_places(const NvsQueue *queue, const NvsLevel *level, HintKey *key)
{
	int			n;
	NvsHint    *hints = nvs_shmem_hints(&n);
	uint32		hash;

	if (hints == NULL || !OidIsValid(queue->storage))
		return NULL;
	key->database = MyDatabaseId;
	key->storage = queue->storage;
	key->queue = queue->number;
	key->priority = level->priority;
	hash = hash_bytes((const unsigned char *) key, sizeof(HintKey));
	return &hints[hash % (n / HINT_WAYS) * HINT_WAYS];
}

/* Is a hint, whose mutex is held, of this level? */
static bool
hint_is_of(const NvsHint *hint, const HintKey *key)
{
	return hint->used_at != 0 && hint->database == key->database &&
		hint->storage == key->storage && hint->queue == key->queue &&
		hint->priority == key->priority;
}

/* Learn what other sessions know of a level. */
void
nvs_hint_load(const NvsQueue *queue, NvsLevel *level)
{
	HintKey		key;
	NvsHint    *hint = hint_places(queue, level, &key);
	int			i;

	for (i = 0; hint != NULL && i < HINT_WAYS; i++, hint++)
	{
		bool		found;

		SpinLockAcquire(&hint->mutex);
		found = hint_is_of(hint, &key);
		if (found)
		{
			level->settled = Max(level->settled, hint->settled);
			level->frontier = Max(level->frontier, hint->frontier);
			level->sweep_at = Max(level->sweep_at, hint->sweep_at);
		}
		SpinLockRelease(&hint->mutex);
		if (found)
			return;
	}
}

/* Tell other sessions what we know of a level, in place of the oldest hint. */
void
nvs_hint_save(const NvsQueue *queue, const NvsLevel *level, TimestampTz now)
{
	HintKey		key;
	NvsHint    *places = hint_places(queue, level, &key);
	NvsHint    *oldest = places;
	int			i;

	if (places == NULL)
		return;
	for (i = 0; i < HINT_WAYS; i++)
	{
		NvsHint    *hint = &places[i];

		if (hint_is_of(hint, &key))
		{
			oldest = hint;
			break;
		}
		if (hint->used_at < oldest->used_at)
			oldest = hint;
	}

	/* Somebody else may have taken the place meanwhile: then it is ours now. */
	SpinLockAcquire(&oldest->mutex);
	if (!hint_is_of(oldest, &key))
	{
		oldest->database = key.database;
		oldest->storage = key.storage;
		oldest->queue = key.queue;
		oldest->priority = key.priority;
		oldest->settled = oldest->frontier = oldest->sweep_at = 0;
	}
	oldest->settled = Max(oldest->settled, level->settled);
	oldest->frontier = Max(oldest->frontier, level->frontier);
	oldest->sweep_at = Max(oldest->sweep_at, level->sweep_at);
	oldest->used_at = now;
	SpinLockRelease(&oldest->mutex);
}
