/*
 * route/route.h
 *	  From a subject or key to the relation that holds it.
 */
#ifndef NVS_ROUTE_ROUTE_H
#define NVS_ROUTE_ROUTE_H

#include "postgres.h"

#include "compat.h"
#include "base/grant.h"
#include "base/statement.h"
#include "route/fields.h"
#include "route/shown.h"
#include "store/store.h"
#include "subject/subject.h"

/* What is routed. */
typedef enum NvsKind
{
	NVS_KIND_STREAM,
	NVS_KIND_ENTRY,
	NVS_KIND_KV,
	/* these have no routes, only a table in each store */
	NVS_KIND_LOCK,
	NVS_KIND_SNAPSHOT
} NvsKind;

#define NVS_ROUTED_KINDS	3
#define NVS_KINDS			(NVS_KIND_SNAPSHOT + 1)

struct NvsTarget;
struct NvsLookup;

/*
 * A route as the registry has it.  Each of a store's own tables, too, is
 * reached by one, which has no pattern.
 */
typedef struct NvsRoute
{
	const NvsStore *store;
	NvsKind		kind;
	NvsPattern *pattern;		/* NULL for a store's own table */
	const char *pattern_text;
	const char *type;			/* of a generic stream table, else NULL */
	const char *schema;			/* NULL for the store's own */
	const char *table;
	Jsonb	   *aliases;		/* NULL for none */
	int			notify;			/* an NvsNotifyMode, -1 for the setting */
	struct NvsTarget *target;	/* NULL until compiled */
} NvsRoute;

/* A column that says which subject a row belongs to. */
typedef struct NvsKey
{
	const NvsField *field;
	int			capture;		/* that it holds; -1: the whole subject */
	bool		filters;		/* part of the WHERE clause */
} NvsKey;

/*
 * A relation as one route sees it.  It is not changed once made: when the
 * relation changes another one is made, and this one lives until no call of
 * ours is on the stack.
 */
typedef struct NvsTarget
{
	struct NvsTarget *next;		/* list of all, for invalidation */
	NvsRoute   *route;
	MemoryContext cxt;
	bool		valid;			/* the relation has not changed since */
	bool		compound;		/* reading it reads other relations */
	TransactionId writer;		/* who changed it last */
	Oid			draws;			/* the function that is the default of its
								 * ids, if that draws positions of the store */
	NvsKind		kind;
	const NvsStore *store;
	Oid			relid;
	NvsAllowed	allowed;		/* to whom a lock is allowed */
	char	   *name;			/* qualified and quoted */
	NvsFieldMap *map;			/* NULL until it is compiled, as keys */
	int			nkeys;
	NvsKey	   *keys;
	int			notify;			/* an NvsNotifyMode, -1 for the setting */
	NvsPlanSet *plans;
	struct NvsLookup *lookup;	/* NULL: rows are read by statements alone */
	void	   *state;			/* what the kind's code keeps, in cxt */
} NvsTarget;

/* A subject and the relation that holds it. */
typedef struct NvsResolved
{
	NvsTarget  *target;
	const char *subject;
	int			len;
	NvsCapture	captures[NVS_SUBJECT_MAX_TOKENS];
} NvsResolved;

/* route/route.c */
extern bool nvs_route_find(NvsKind kind, const char *subject, int len,
						   NvsUse use, NvsResolved *resolved);
extern bool nvs_route_is_beside(NvsKind kind, const NvsResolved *before,
								const char *subject, int len);
extern NvsTarget *nvs_route_known(NvsKind kind, const char *subject, int len,
								  NvsResolved *resolved);
extern List *nvs_route_targets(NvsKind kind, const NvsStore *store, NvsUse use,
							   bool missing_ok);
extern List *nvs_route_usable_targets(NvsKind kind, const NvsStore *store);
extern List *nvs_route_list(const NvsStore *store);
extern void nvs_route_make_streams(const NvsResolved **missing, int n);
extern NvsKind nvs_route_kind(const char *name);
extern int	nvs_route_notify(const char *name);
extern NvsTarget *nvs_route_stream_target(const NvsStore *store,
										  const char *type, NvsUse use);

/* route/copy.c */
extern void nvs_copy_init(void);

/* route/draw.c */
extern uint32 nvs_draw_require(const char *prefix, int len);
extern void nvs_draw_positions(const NvsTarget *target, int64 *positions,
							   int n);

/* route/target.c */
extern void nvs_target_init(void);
extern NvsTarget *nvs_target_get(NvsRoute *route, NvsUse use);
extern NvsTarget *nvs_target_lock(NvsRoute *route, LOCKMODE mode);
extern bool nvs_target_may_use(const NvsRoute *route);
pg_noreturn extern void nvs_target_missing(const NvsRoute *route);
extern void nvs_target_drop_all(void);
extern const char *nvs_target_key_text(const NvsResolved *resolved,
									   const NvsKey *key, int *len);
extern void nvs_target_params(const NvsResolved *resolved, NvsParams *params);
extern void nvs_target_where(const NvsTarget *target, StringInfo sql);
extern bool nvs_target_is_key(const NvsTarget *target, const NvsField *field);
extern const char *nvs_target_pattern(const NvsTarget *target);
extern char *nvs_target_check(NvsKind kind, const NvsStore *store,
							  const char *pattern, Oid relid, Jsonb *aliases,
							  bool *apart);

#endif							/* NVS_ROUTE_ROUTE_H */
