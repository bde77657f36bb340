/*
 * kv/row.c
 *	  A key's row while this transaction holds it.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/timestamp.h"

#include "kv/kv.h"

/* $1 is the key. */
static const NvsStatement row_select_for_update = {
	"SELECT t.expires_at, t.value FROM {table} AS t "
	"WHERE " NVS_KV_THIS_KEY " FOR NO KEY UPDATE"
};

/* Begin the parameters of a statement with the key. */
void
nvs_kv_params(NvsParams *params, Datum key)
{
	nvs_params_init(params);
	nvs_params_add(params, TEXTOID, key, false);
}

/* Add the time at which a key expires, NULL for never. */
void
nvs_kv_add_expiry(NvsParams *params, bool expires, TimestampTz expires_at)
{
	nvs_params_add(params, TIMESTAMPTZOID, TimestampTzGetDatum(expires_at),
				   !expires);
}

/*
 * Lock a key's row until the end of the transaction, if there is one, and
 * judge it as it is then.
 */
void
nvs_kv_hold_row(NvsTarget *target, Datum key, NvsKvRow *row)
{
	NvsParams	params;
	Datum		columns[2];
	bool		isnull[2];

	memset(row, 0, sizeof(NvsKvRow));
	nvs_kv_params(&params, key);
	row->exists = nvs_execute_row(nvs_statement_plan(target->plans,
													 &row_select_for_update,
													 &params, NULL),
								  &params, false, CurrentMemoryContext, 2,
								  columns, isnull);
	row->now = GetCurrentTimestamp();
	if (!row->exists)
		return;
	row->expires_at = isnull[0] ? 0 : DatumGetTimestampTz(columns[0]);
	row->expires = !isnull[0] && !TIMESTAMP_IS_NOEND(row->expires_at);
	row->live = !isnull[1] &&
		(!row->expires || row->expires_at > row->now);
	row->value = columns[1];
}
