/*
 * base/plan.h
 *	  Plans: the only way to SPI.
 *
 * Every statement is prepared once and its plan kept, see base/statement.h.
 * What is no longer valid is freed only when no call of ours is on the stack,
 * since a trigger may call back into us while a plan runs.
 */
#ifndef NVS_BASE_PLAN_H
#define NVS_BASE_PLAN_H

#include "postgres.h"

#include "executor/spi.h"
#include "fmgr.h"
#include "utils/snapshot.h"

/* Parameters that one statement may have. */
#define NVS_MAX_PARAMS	1664

/* Parameters that a list has room for by itself. */
#define NVS_FIRST_PARAMS	16

/*
 * Parameters of a statement: types, values and nulls, in the order of $n.  It
 * may point into itself, so it cannot be copied.
 */
typedef struct NvsParams
{
	int			n;
	int			size;
	Oid		   *types;
	Datum	   *values;
	char	   *nulls;			/* 'n' or ' ', as SPI wants it */
	Oid			first_types[NVS_FIRST_PARAMS];
	Datum		first_values[NVS_FIRST_PARAMS];
	char		first_nulls[NVS_FIRST_PARAMS];
} NvsParams;

/* What is done with each row of a result; the slot holds it until return. */
typedef void (*NvsRowFunction) (TupleTableSlot *slot, void *arg);

extern void nvs_spi_begin(void);
extern void nvs_spi_end(void);
extern void nvs_spi_unwind(int level);
extern int	nvs_spi_depth(void);
extern void nvs_spi_push_snapshot(Snapshot snapshot);

extern SPIPlanPtr nvs_plan_prepare(const char *sql, int nargs,
								   const Oid *types, int cursor_options);
extern bool nvs_plan_scans(const char *sql, Oid relid);
extern void nvs_plan_utility(const char *sql);
extern void nvs_plan_query(const char *sql);
extern char *nvs_plan_text(const char *sql, const NvsParams *params);

extern uint64 nvs_execute(SPIPlanPtr plan, const NvsParams *params,
						  bool read_only, long count);
extern bool nvs_execute_first(SPIPlanPtr plan, const NvsParams *params,
							  bool read_only, MemoryContext cxt,
							  Datum *result);
extern bool nvs_execute_row(SPIPlanPtr plan, const NvsParams *params,
							bool read_only, MemoryContext cxt, int ncolumns,
							Datum *row, bool *isnull);
extern uint64 nvs_execute_each(SPIPlanPtr plan, const NvsParams *params,
							   bool read_only, NvsRowFunction function,
							   void *arg);
extern void nvs_defer_free_plans(MemoryContext cxt, const SPIPlanPtr *plans,
								 int n);

extern void nvs_params_init(NvsParams *params);
extern int	nvs_params_add(NvsParams *params, Oid type, Datum value,
						   bool isnull);
extern void nvs_params_add_arrays(NvsParams *params, const Oid *types,
								  Datum *const *values, bool *const *nulls,
								  int narrays, int n);
extern int	nvs_params_add_arg(NvsParams *params, FunctionCallInfo fcinfo,
							   int n, Oid type);

#endif							/* NVS_BASE_PLAN_H */
