/*
 * stream/window.c
 *	  What a reader may read: relations, a snapshot, and up to which position.
 *
 * Everything at or below the safe position is settled, but a reader passes no
 * event only if its snapshot shows them all, in the relations that have them:
 *
 * - Relations are locked before the snapshot is taken.  One that is rewritten
 *	 while the lock is waited for would show an older snapshot nothing.
 * - The registry is looked at after that once more.  An appender that is
 *	 settled has told what tables it made; who routed events elsewhere has told
 *	 before the locks of what they were in were free.
 * - A transaction that keeps its snapshot cannot take a new one, so it is an
 *	 error when that is older than a relation's rows.
 *
 * Of the relations those that have nothing above the cursor are left out, as
 * far as that is easily seen: mostly a few of many have news.  No code of a
 * user's runs before all others have been compiled, since that may change the
 * routes that they are compiled from.
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"

#include "errors.h"
#include "position/position.h"
#include "route/shown.h"
#include "store/check.h"
#include "store/stream_table.h"
#include "stream/state.h"
#include "stream/walk.h"
#include "stream/window.h"

/* A relation that may hold what is asked for. */
typedef struct WindowRelation
{
	NvsRoute   *route;
	NvsTarget  *target;			/* NULL: it does not exist */
	List	   *parts;			/* what reading it reads; NIL: only itself */
} WindowRelation;

static const NvsStore *window_store(const NvsWindow *window);
static int64 window_push_snapshot(const NvsWindow *window);
static uint32 window_coming_store(const NvsWindow *window);
static bool window_overlap(const NvsPattern *a, const NvsPattern *b);
static List *window_lock(const NvsWindow *window);
static bool window_may_hold(const NvsWindow *window, const NvsRoute *route);
static void window_lock_route(WindowRelation *relation, NvsRoute *route);
static bool window_is_current(const NvsWindow *window, List *relations);
static void window_check_shown(const NvsWindow *window,
							   const WindowRelation *relation);
static void window_check_part(const NvsWindow *window, Oid relid);
static bool window_choose(NvsWindow *window, List *relations);

/*
 * The store of this name, or that of a pattern when name is NULL; NULL when
 * the latter has none.  Raises NV009 for a name that is no store's, and for one
 * that is to be taken over.
 */
const NvsStore *
nvs_window_store(const char *name, const NvsPattern *pattern)
{
	const NvsStore *store;

	if (name == NULL)
	{
		store = nvs_store_of_pattern(pattern);
		if (store == NULL)
			nvs_store_check_adopted();
		return store;
	}
	store = nvs_store_find(name, strlen(name));
	if (store == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_NVS_NO_STORE),
				 errmsg("store \"%s\" does not exist", name)));
	return store;
}

/* The store that a window is of, as the registry is now. */
static const NvsStore *
window_store(const NvsWindow *window)
{
	return nvs_window_store(window->name, window->patterns == NIL ? NULL :
							linitial(window->patterns));
}

/*
 * Push the snapshot for a window, and return the position up to which it shows
 * everything of the store.  A store that is being made under the name that its
 * subjects begin with counts, too: they will be that one's.
 */
static int64
window_push_snapshot(const NvsWindow *window)
{
	uint32		number = window->store == NULL ? 0 : window->store->number;
	uint32		coming = window_coming_store(window);
	int64		safe;
	int64		others = PG_INT64_MAX;

	if (coming != 0 && number != 0 && coming != number)
	{
		others = nvs_position_push_snapshot(coming);
		PopActiveSnapshot();
	}
	safe = nvs_position_push_snapshot(number);
	return Min(safe, others);
}

/* Number of the store that the first token would name; 0 when none can be. */
static uint32
window_coming_store(const NvsWindow *window)
{
	const NvsPattern *pattern;
	const NvsPatternToken *first;

	if (window->name != NULL || window->patterns == NIL)
		return 0;
	pattern = linitial(window->patterns);
	first = &pattern->tokens[0];
	return first->kind != NVS_TOKEN_LITERAL ? 0 :
		nvs_store_number(pattern->bytes + first->offset, first->len);
}

/* May the relation of a route hold subjects that match a pattern? */
bool
nvs_window_may_hold(const NvsPattern *pattern, const NvsRoute *route)
{
	if (route->pattern != NULL)
		return window_overlap(pattern, route->pattern);
	return nvs_stream_type_matches(route->store->prefix, route->type, pattern);
}

/* Is there a subject that both patterns match? */
static bool
window_overlap(const NvsPattern *a, const NvsPattern *b)
{
	int			i;

	for (i = 0; i < a->ntokens && i < b->ntokens; i++)
	{
		const NvsPatternToken *token = &b->tokens[i];

		if (nvs_token_is_rest(&a->tokens[i]) || nvs_token_is_rest(token))
			return true;
		if (token->kind == NVS_TOKEN_LITERAL &&
			!nvs_pattern_may_be(a, i, b->bytes + token->offset, token->len))
			return false;
	}
	return a->ntokens == b->ntokens;
}

/*
 * Find out what there is, lock it until the end of the transaction, and push
 * the snapshot to read it with, which nvs_window_close() pops.  Needs SPI.
 */
void
nvs_window_open(NvsWindow *window)
{
	List	   *relations;

	/* Mostly there is nothing, which needs no locks. */
	window->store = window_store(window);
	window->targets = NIL;
	window->safe = window_push_snapshot(window);
	if (window->safe <= window->after && !window->unsettled)
		return;
	PopActiveSnapshot();

	for (;;)
	{
		CHECK_FOR_INTERRUPTS();
		relations = window_lock(window);
		window->safe = window_push_snapshot(window);
		if (window_is_current(window, relations) &&
			window_choose(window, relations))
			break;
		PopActiveSnapshot();
		window->store = window_store(window);
	}
}

/* End what nvs_window_open() began, but for the locks. */
void
nvs_window_close(NvsWindow *window)
{
	PopActiveSnapshot();
	window->targets = NIL;
}

/* Lock the relations that may hold what is asked for; a list of them. */
static List *
window_lock(const NvsWindow *window)
{
	List	   *relations = NIL;
	ListCell   *lc;

	if (window->store == NULL)
		return NIL;
	foreach(lc, nvs_route_list(window->store))
	{
		NvsRoute   *route = lfirst(lc);
		WindowRelation *relation;

		if (route->kind != NVS_KIND_STREAM || !window_may_hold(window, route))
			continue;
		CHECK_FOR_INTERRUPTS();
		relation = palloc(sizeof(WindowRelation));
		window_lock_route(relation, route);
		relations = lappend(relations, relation);
	}
	return relations;
}

/* May the relation of a route hold subjects that are asked for? */
static bool
window_may_hold(const NvsWindow *window, const NvsRoute *route)
{
	ListCell   *lc;

	foreach(lc, window->patterns)
	{
		if (nvs_window_may_hold(lfirst(lc), route))
			return true;
	}
	return window->patterns == NIL;
}

/* Lock the relation of a route, and what reading it reads. */
static void
window_lock_route(WindowRelation *relation, NvsRoute *route)
{
	relation->route = route;
	relation->target = nvs_target_lock(route, AccessShareLock);
	relation->parts = NIL;
	if (relation->target != NULL && relation->target->compound)
		relation->parts = nvs_relation_lock_parts(relation->target->relid);
}

/* Is the registry as it was, and what did not exist still not there? */
static bool
window_is_current(const NvsWindow *window, List *relations)
{
	ListCell   *lc;

	if (window->store == NULL)
		return window_store(window) == NULL;
	if (!nvs_store_is_current(window->store))
		return false;
	foreach(lc, relations)
	{
		const WindowRelation *relation = lfirst(lc);

		if (relation->target == NULL &&
			nvs_target_lock(relation->route, AccessShareLock) != NULL)
			return false;
	}
	return true;
}

/*
 * Keep the targets of those relations that may have events above the cursor.
 * False when a route is gone, or leads elsewhere, since its relation was
 * locked: that keeps the name of the relation, but not that of its schema.
 */
static bool
window_choose(NvsWindow *window, List *relations)
{
	int64		upto = window->unsettled ? PG_INT64_MAX : window->safe;
	ListCell   *lc;

	window->targets = NIL;
	if (window->safe <= window->after && !window->unsettled)
		return true;
	foreach(lc, relations)
	{
		const WindowRelation *relation = lfirst(lc);
		NvsTarget  *target;

		CHECK_FOR_INTERRUPTS();
		if (relation->target == NULL)
			continue;
		window_check_shown(window, relation);
		if (relation->parts == NIL &&
			!nvs_has_news(relation->target->relid, window->after, upto))
			continue;

		/* A schema that was renamed meanwhile has its routes made anew. */
		if (!nvs_store_is_current(window->store))
			return false;
		target = nvs_target_get(relation->route, NVS_USE_LOOK);
		if (target == NULL || target->relid != relation->target->relid)
			return false;
		(void) nvs_stream_state(target);
		window->targets = lappend(window->targets, target);
	}
	return true;
}

/*
 * Raise 40001 when a snapshot that is kept does not show what a relation had
 * before it was taken: the relation was rewritten since, or one with events
 * that are older was put in place.
 */
static void
window_check_shown(const NvsWindow *window, const WindowRelation *relation)
{
	ListCell   *lc;

	if (!IsolationUsesXactSnapshot())
		return;
	foreach(lc, relation->parts)
		window_check_part(window, lfirst_oid(lc));
	if (relation->parts == NIL)
		window_check_part(window, relation->target->relid);
}

/*
 * Raise an error when a relation that has its own rows has some which the
 * snapshot of the transaction cannot show.
 */
static void
window_check_part(const NvsWindow *window, Oid relid)
{
	bool		news;

	if (nvs_relation_shown(relid, GetActiveSnapshot()) == NVS_SHOWN)
		return;
	PushActiveSnapshot(GetLatestSnapshot());
	news = nvs_has_news(relid, window->after, window->safe);
	PopActiveSnapshot();
	if (news)
		nvs_relation_not_shown(relid);
}
