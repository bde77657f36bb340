/*
 * store/adopt.h
 *	  Taking over tables that are there already, with every row.
 */
#ifndef NVS_STORE_ADOPT_H
#define NVS_STORE_ADOPT_H

#include "postgres.h"

#include "nodes/pg_list.h"

#include "store/store.h"

/* A change made to a table, as store_adopt() reports it. */
typedef struct NvsChange
{
	char	   *relation;		/* name of the table, without the schema */
	char	   *what;			/* in words */
} NvsChange;

extern List *nvs_adopt_tables(const NvsStore *store, int from,
							  bool widen, List **streams);

#endif							/* NVS_STORE_ADOPT_H */
