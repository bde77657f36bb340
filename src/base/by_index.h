/*
 * base/by_index.h
 *	  Plans that go by indexes, whatever the tables look like now.
 */
#ifndef NVS_BASE_BY_INDEX_H
#define NVS_BASE_BY_INDEX_H

#include "postgres.h"

#include "optimizer/planner.h"

/*
 * For the planner, beside PostgreSQL's CURSOR_OPT_xxx: a statement of ours that
 * is to go by indexes and join row by row.
 */
#define NVS_CURSOR_BY_INDEX		0x10000000

extern void nvs_by_index_init(void);
extern planner_hook_type nvs_planner_hook_of_others(void);

#endif							/* NVS_BASE_BY_INDEX_H */
