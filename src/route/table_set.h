/*
 * route/table_set.h
 *	  The tables of one module in a store, and the statements on them.
 *
 * A module whose calls name a store, and not a subject, has a set of tables
 * there, which it finds, locks and writes its statements on by this.
 */
#ifndef NVS_ROUTE_TABLE_SET_H
#define NVS_ROUTE_TABLE_SET_H

#include "postgres.h"

#include "fmgr.h"

#include "base/statement.h"
#include "route/shown.h"

/* Tables that a set may have. */
#define NVS_TABLE_SET_MAX	16

/* A column whose values a module takes as what they are. */
typedef struct NvsTableSetColumn
{
	int			table;			/* index into names; -1 ends a list */
	const char *name;
	Oid			type;
	bool		required;		/* never NULL */
} NvsTableSetColumn;

/* Which tables a module has; a static constant, known by its address. */
typedef struct NvsTableSetKind
{
	int			ntables;
	const char *names[NVS_TABLE_SET_MAX];	/* behind the store's prefix */
	const NvsTableSetColumn *columns;	/* all that statements return */
	bool		by_index;		/* plans for all parameters are to go by
								 * indexes, whatever the tables look like */
	uint32		first;			/* bits of those that every call locks that
								 * changes something; 0: all of them */
	const char *trigger;		/* a function of ours, what it does for each
								 * row the module does itself where it needs
								 * no statement; NULL: none */
} NvsTableSetKind;

/* What this backend keeps of a module's tables in a store. */
typedef struct NvsTableSet
{
	const NvsTableSetKind *kind;
	char		prefix[NAMEDATALEN];	/* of the store */
	uint32		number;			/* the store's */
	const char *channel;		/* the same */
	struct NvsTableSet *next;	/* list of all, for invalidation */
	bool		valid;			/* no table has changed since */
	Oid			relids[NVS_TABLE_SET_MAX];
	const char *tables[NVS_TABLE_SET_MAX];	/* qualified and quoted */
	NvsPlanSet *plans;			/* defines each table by its name */
	MemoryContext cxt;			/* of what is above, and of state */
	void	   *state;			/* the module's; NULL after each change */
} NvsTableSet;

extern void nvs_table_set_init(void);
extern NvsTableSet *nvs_table_set_open(const NvsTableSetKind *kind,
									   FunctionCallInfo fcinfo, int arg,
									   NvsUse use);
extern NvsTableSet *nvs_table_set_require(const NvsTableSetKind *kind,
										  FunctionCallInfo fcinfo, int arg);
extern NvsTableSet *nvs_table_set_find(const NvsTableSetKind *kind,
									   const char *prefix, LOCKMODE mode);
extern void nvs_table_set_lock(const NvsTableSet *set, int table);
extern void nvs_table_set_lock_all(const NvsTableSet *set);
extern NvsTableSet *nvs_table_set_find_to_change(const NvsTableSetKind *kind,
												 const char *prefix);
extern uint64 nvs_table_set_run(const NvsTableSet *set,
								const NvsStatement *statement,
								const NvsParams *params);
extern uint64 nvs_table_set_query(const NvsTableSet *set,
								  const NvsStatement *statement,
								  const NvsParams *params);
extern uint64 nvs_table_set_each(const NvsTableSet *set,
								 const NvsStatement *statement,
								 const NvsParams *params, bool read_only,
								 NvsRowFunction function, void *arg);
extern uint64 nvs_table_set_each_of(const NvsTableSet *set,
									const NvsStatement *statement,
									const NvsParams *params, bool read_only,
									uint64 max, NvsRowFunction function,
									void *arg);

#endif							/* NVS_ROUTE_TABLE_SET_H */
