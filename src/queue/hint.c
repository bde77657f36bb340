/*
 * queue/hint.c
 *	  What sessions tell one another of where to look for jobs.
 *
 * Each of them could find out by itself, by stepping over what the others have
 * taken.  Whoever knows of jobs behind the frontier, which are handed back by a
 * rollback, or sent by a commit that comes late, has the next walk begin at the
 * settled position, so that they are the next that somebody takes.
 *
 * A hint is of the table as it is stored, so that one which was emptied and
 * filled again has none.  Where there is no shared memory, or no room in it,
 * each session knows what it has seen.
 */
#include "postgres.h"

#include "access/xact.h"
#include "common/hashfn.h"
#include "miscadmin.h"

#include "position/shmem.h"
#include "position/xact.h"
#include "queue/internal.h"

/* Places in which a hint may be. */
#define HINT_WAYS	4

/*
 * Levels of which one transaction remembers what it took and sent; of others
 * that is found somewhat later.
 */
#define MAX_NOTES	32

/* Which level a hint is of. */
typedef struct HintKey
{
	Oid			database;
	Oid			storage;
	int32		queue;
	int32		priority;
} HintKey;

/* The first job that this transaction took or sent, at one nesting level. */
typedef struct HintNote
{
	HintKey		key;
	int64		first;
	int			nesting;
	bool		sent;			/* it is there once we commit */
} HintNote;

static HintNote notes[MAX_NOTES];
static int	nnotes = 0;

static NvsHint *hint_places(const NvsQueue *queue, int32 priority,
							HintKey *key);
static NvsHint *hint_choose(NvsHint *places, const HintKey *key);
static NvsHint *hint_places_of(const HintKey *key);
static void hint_recall(const HintNote *note);
static void hint_after_locks(const NvsXactEnd *end);
static void hint_merge_nesting(int nesting);
static void hint_hand_back(int nesting);
static bool hint_is_of(const NvsHint *hint, const HintKey *key);

/* The places where the hint of a level may be; NULL when there are none. */
static NvsHint *
hint_places(const NvsQueue *queue, int32 priority, HintKey *key)
{
	if (!OidIsValid(queue->storage))
		return NULL;
	key->database = MyDatabaseId;
	key->storage = queue->storage;
	key->queue = queue->number;
	key->priority = priority;
	return hint_places_of(key);
}

/*
 * The places where the hint of this key may be; NULL when there are none.  Does
 * not raise.
 */
static NvsHint *
hint_places_of(const HintKey *key)
{
	int			n;
	NvsHint    *hints = nvs_shmem_hints(&n);
	uint32		hash;

	if (hints == NULL)
		return NULL;
	hash = hash_bytes((const unsigned char *) key, sizeof(HintKey));
	return &hints[hash % (n / HINT_WAYS) * HINT_WAYS];
}

/* Is a hint of this level?  Certain only while its mutex is held. */
static bool
hint_is_of(const NvsHint *hint, const HintKey *key)
{
	return hint->used_at != 0 && hint->database == key->database &&
		hint->storage == key->storage && hint->queue == key->queue &&
		hint->priority == key->priority;
}

/* Hand over what is to be done when transactions end. */
void
nvs_hint_init(void)
{
	static const NvsXactHandlers handlers = {
		.after_locks = hint_after_locks,
		.before_subcommit = hint_merge_nesting,
		.after_subabort = hint_hand_back
	};

	nvs_xact_register(&handlers);
}

/*
 * Learn what other sessions know of a level.  Whose snapshot is older than that
 * looks for himself.
 */
void
nvs_hint_load(const NvsQueue *queue, NvsLevel *level)
{
	HintKey		key;
	NvsHint    *hint = hint_places(queue, level->priority, &key);
	int			i;

	if (IsolationUsesXactSnapshot())
		return;
	for (i = 0; hint != NULL && i < HINT_WAYS; i++, hint++)
	{
		bool		found;

		SpinLockAcquire(&hint->mutex);
		found = hint_is_of(hint, &key);
		if (found)
		{
			level->settled = Max(level->settled, hint->settled);
			level->frontier = Max(level->settled, hint->frontier);
			level->recalls = hint->recalls;
			level->sweep_at = hint->sweep_at;
		}
		SpinLockRelease(&hint->mutex);
		if (found)
			return;
	}
}

/*
 * Tell other sessions what we know of a level, in place of the oldest hint.
 * If jobs came up behind the frontier meanwhile, it is time to look for them.
 */
void
nvs_hint_save(const NvsQueue *queue, const NvsLevel *level, int64 now)
{
	HintKey		key;
	NvsHint    *places = hint_places(queue, level->priority, &key);
	NvsHint    *hint;

	if (places == NULL || IsolationUsesXactSnapshot())
		return;
	hint = hint_choose(places, &key);

	/* Somebody else may have taken the place meanwhile: then it is ours now. */
	SpinLockAcquire(&hint->mutex);
	if (!hint_is_of(hint, &key))
	{
		hint->database = key.database;
		hint->storage = key.storage;
		hint->queue = key.queue;
		hint->priority = key.priority;
		hint->settled = hint->frontier = hint->sweep_at = 0;
		hint->recalls = level->recalls;
	}
	hint->settled = Max(hint->settled, level->settled);
	hint->frontier = Max(hint->frontier, level->frontier);
	if (hint->recalls == level->recalls)
		hint->sweep_at = level->sweep_at;
	hint->used_at = now;
	SpinLockRelease(&hint->mutex);
}

/*
 * Of the places of a key that which has its hint, or had none for the longest.
 * As no mutex is held, it may be another's once one is.
 */
static NvsHint *
hint_choose(NvsHint *places, const HintKey *key)
{
	NvsHint    *oldest = places;
	int			i;

	for (i = 0; i < HINT_WAYS; i++)
	{
		if (hint_is_of(&places[i], key))
			return &places[i];
		if (places[i].used_at < oldest->used_at)
			oldest = &places[i];
	}
	return oldest;
}

/* Note a job of a level that is about to be taken, or was sent. */
void
nvs_hint_note(const NvsQueue *queue, int32 priority, int64 id, bool sent)
{
	int			nesting = GetCurrentTransactionNestLevel();
	HintNote	note = {.first = id,.nesting = nesting,.sent = sent};
	int			i;

	if (hint_places(queue, priority, &note.key) == NULL)
		return;
	for (i = 0; i < nnotes; i++)
		if (notes[i].nesting == nesting && notes[i].sent == sent &&
			memcmp(&notes[i].key, &note.key, sizeof(HintKey)) == 0)
		{
			notes[i].first = Min(notes[i].first, id);
			return;
		}
	if (nnotes < MAX_NOTES)
		notes[nnotes++] = note;
}

/*
 * A job is there: if it is behind the frontier, the next walk is to begin at
 * the settled position.  Does not raise.
 */
static void
hint_recall(const HintNote *note)
{
	NvsHint    *hint = hint_places_of(&note->key);
	int			i;

	for (i = 0; hint != NULL && i < HINT_WAYS; i++, hint++)
	{
		SpinLockAcquire(&hint->mutex);
		if (hint_is_of(hint, &note->key) && hint->frontier >= note->first)
		{
			hint->sweep_at = 0;
			hint->recalls++;
		}
		SpinLockRelease(&hint->mutex);
	}
}

/*
 * The transaction is over, and others can lock its jobs: those that were sent,
 * or that were taken by what was rolled back.  Does not raise.
 */
static void
hint_after_locks(const NvsXactEnd *end)
{
	int			i;

	for (i = 0; i < nnotes; i++)
		if (notes[i].sent ? end->outcome == NVS_XACT_COMMITTED :
			end->outcome == NVS_XACT_ABORTED)
			hint_recall(&notes[i]);
	nnotes = 0;
}

/* What a subtransaction did is its parent's from here on. */
static void
hint_merge_nesting(int nesting)
{
	int			i;

	for (i = 0; i < nnotes; i++)
		notes[i].nesting = Min(notes[i].nesting, nesting - 1);
}

/* A subtransaction is gone: what it took is handed back.  Does not raise. */
static void
hint_hand_back(int nesting)
{
	int			kept = 0;
	int			i;

	for (i = 0; i < nnotes; i++)
	{
		if (notes[i].nesting < nesting)
			notes[kept++] = notes[i];
		else if (!notes[i].sent)
			hint_recall(&notes[i]);
	}
	nnotes = kept;
}
