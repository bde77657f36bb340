/*
 * writer.c
 *	  A session that appends in every way there is, and keeps a record of what
 *	  it knows to be committed.
 *
 * Its connection may be lost at any time.  A transaction that had not been
 * asked to commit is gone then.  Of one that had, nothing is known, unless it
 * was being prepared: a prepared transaction is still there, or it ended the
 * way it was told to.
 */
#include <stdarg.h>
#include <unistd.h>

#include "checker.h"

static bool run(Writer *writer, const char *format, ...);
static bool append(Writer *writer);
static bool append_batch(Writer *writer);
static bool append_many(Writer *writer);
static bool insert(Writer *writer);
static bool copy(Writer *writer);
static bool in_savepoint(Writer *writer);
static bool step(Writer *writer, bool nested);
static void transaction(Writer *writer);
static void end(Writer *writer);
static void commit(Writer *writer);
static void two_phases(Writer *writer);
static void resolve(Writer *writer);
static void settle(Writer *writer, Fate fate);

/* The thread of a writer. */
void *
run_writer(void *arg)
{
	Writer	   *writer = arg;

	for (;;)
	{
		if (PQstatus(writer->conn) != CONNECTION_OK)
		{
			writer->losses += writer->conn != NULL;
			writer->conn = reconnect(writer->conn, "writer", writer->number,
									 NULL);
			continue;
		}
		if (writer->phase != NONE)
			resolve(writer);
		else if (committed >= wanted)
			break;
		else
			transaction(writer);
	}
	PQfinish(writer->conn);
	return NULL;
}

/*
 * Run a statement.  False when it failed: because the connection was lost, or
 * in a deadlock, which writers of several subjects run into by nature.
 */
static bool
run(Writer *writer, const char *format, ...)
{
	char		sql[4096];
	va_list		args;
	PGresult   *result;
	ExecStatusType status;
	const char *state;

	va_start(args, format);
	vsnprintf(sql, sizeof(sql), format, args);
	va_end(args);
	result = PQexec(writer->conn, sql);
	status = PQresultStatus(result);
	state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
	if (state != NULL && strcmp(state, "40P01") == 0)
		writer->deadlocks++;
	else if (is_error(result))
		fail(writer->conn, sql);
	PQclear(result);
	return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK ||
		status == PGRES_COPY_IN;
}

/* The label of an event that the open transaction is about to append. */
static int64_t
label(Writer *writer)
{
	writer->fates = grow(writer->fates, writer->next, &writer->size, 1);
	writer->fates[writer->next] = OPEN;
	return LABEL(writer->number, writer->next++);
}

/* A subject; the number of tables grows with that of the events. */
static char *
subject(Writer *writer, char *buffer)
{
	int			tables = 4 + (int64_t) committed * MAX_TABLES / wanted;

	if (tables > MAX_TABLES)
		tables = MAX_TABLES;
	sprintf(buffer, "checker:t%d:%d", (int) pick(&writer->random, tables),
			(int) pick(&writer->random, PER_TABLE));
	return buffer;
}

static bool
append(Writer *writer)
{
	char		name[64];

	return run(writer, "SELECT nvent.stream_append('%s', '{\"type\": \"t\", \"n\": %lld}')",
			   subject(writer, name), (long long) label(writer));
}

static bool
append_batch(Writer *writer)
{
	char		name[64];
	int			n = 2 + pick(&writer->random, 8);
	int64_t		first = label(writer);
	int			i;

	for (i = 1; i < n; i++)
		label(writer);
	return run(writer, "SELECT nvent.stream_append_batch('%s', ARRAY(SELECT jsonb_build_object('type', 't', 'n', %lld + i) FROM generate_series(0, %d) i))",
			   subject(writer, name), (long long) first, n - 1);
}

static bool
append_many(Writer *writer)
{
	char		a[64];
	char		b[64];
	long long	n[3];
	int			i;

	for (i = 0; i < 3; i++)
		n[i] = label(writer);
	return run(writer, "SELECT nvent.stream_append_many('[{\"subject\": \"%s\", \"events\": [{\"type\": \"t\", \"n\": %lld}, {\"type\": \"t\", \"n\": %lld}]}, {\"subject\": \"%s\", \"events\": [{\"type\": \"t\", \"n\": %lld}]}]')",
			   subject(writer, a), n[0], n[1], subject(writer, b), n[2]);
}

/* By hand, without a function of ours but the default of the column. */
static bool
insert(Writer *writer)
{
	int64_t		first = label(writer);

	label(writer);
	label(writer);
	return run(writer, "INSERT INTO checker_hand (ts, type, subject, meta) SELECT 1, 't', 'checker:hand:%d', jsonb_build_object('n', %lld + i) FROM generate_series(0, 2) i",
			   writer->number, (long long) first);
}

static bool
copy(Writer *writer)
{
	char		line[256];
	PGresult   *result;
	bool		ok = true;
	int			i;

	if (!run(writer, "COPY checker_hand (ts, type, subject, meta) FROM STDIN"))
		return false;
	for (i = 0; i < 5; i++)
	{
		sprintf(line, "1\tt\tchecker:hand:%d\t{\"n\": %lld}\n",
				writer->number, (long long) label(writer));
		PQputCopyData(writer->conn, line, strlen(line));
	}
	PQputCopyEnd(writer->conn, NULL);
	while ((result = PQgetResult(writer->conn)) != NULL)
	{
		if (is_error(result))
			fail(writer->conn, "COPY");
		ok = ok && PQresultStatus(result) == PGRES_COMMAND_OK;
		PQclear(result);
		if (PQstatus(writer->conn) != CONNECTION_OK)
			return false;
	}
	return ok;
}

/* Something in a savepoint, half of which is rolled back. */
static bool
in_savepoint(Writer *writer)
{
	int			first = writer->next;
	int			i;

	if (!run(writer, "SAVEPOINT s") || !step(writer, true))
		return false;
	nap(&writer->random, 2000);
	if (pick(&writer->random, 2) == 0)
		return run(writer, "RELEASE s");
	for (i = first; i < writer->next; i++)
		writer->fates[i] = ABORTED;
	return run(writer, "ROLLBACK TO s");
}

static bool
step(Writer *writer, bool nested)
{
	int			kind = pick(&writer->random, nested ? 80 : 100);

	if (kind < 35)
		return append(writer);
	if (kind < 50)
		return append_batch(writer);
	if (kind < 65)
		return append_many(writer);
	if (kind < 75)
		return insert(writer);
	if (kind < 80)
		return copy(writer);
	return in_savepoint(writer);
}

static void
transaction(Writer *writer)
{
	int			steps = 1 + pick(&writer->random, 4);
	bool		ok;

	writer->first = writer->next;
	writer->transactions++;
	ok = run(writer, "BEGIN");
	while (ok && steps-- > 0)
	{
		ok = step(writer, false);
		/* Now and then long: others commit much in the meantime. */
		nap(&writer->random, pick(&writer->random, 50) == 0 ? 50000 : 3000);
	}
	if (ok)
		end(writer);
	else
	{
		if (PQstatus(writer->conn) == CONNECTION_OK)
			run(writer, "ROLLBACK");
		settle(writer, ABORTED);
	}
}

static void
end(Writer *writer)
{
	int			how = pick(&writer->random, 100);

	if (how < 15)
	{
		run(writer, "ROLLBACK");
		settle(writer, ABORTED);
	}
	else if (how < 20)
		two_phases(writer);
	else
		commit(writer);
}

static void
commit(Writer *writer)
{
	PGresult   *result = PQexec(writer->conn, "COMMIT");
	const char *tag = PQcmdStatus(result);

	if (PQresultStatus(result) == PGRES_COMMAND_OK &&
		strcmp(tag, "COMMIT") == 0)
		settle(writer, COMMITTED);
	else if (is_error(result) || PQresultStatus(result) == PGRES_COMMAND_OK)
		fail(writer->conn, "COMMIT");
	else
		settle(writer, UNKNOWN);
	PQclear(result);
}

/* Prepare, and leave the rest to resolve(). */
static void
two_phases(Writer *writer)
{
	writer->phase = PREPARING;
	if (!run(writer, "PREPARE TRANSACTION 'checker_%d'", writer->number))
		return;
	writer->phase = PREPARED;
	nap(&writer->random, 20000);
}

/* End a transaction that was to be prepared. */
static void
resolve(Writer *writer)
{
	char		sql[256];
	PGresult   *result;
	bool		there;

	sprintf(sql, "SELECT FROM pg_prepared_xacts WHERE gid = 'checker_%d'",
			writer->number);
	result = PQexec(writer->conn, sql);
	there = PQntuples(result) > 0;
	if (PQresultStatus(result) != PGRES_TUPLES_OK)
	{
		PQclear(result);
		return;
	}
	PQclear(result);

	if (!there)
	{
		/* Prepared, it can only have ended the way it was told to. */
		if (writer->phase == PREPARED)
			fail(NULL, "a prepared transaction is gone");
		settle(writer, writer->phase == COMMITTING ? COMMITTED : ABORTED);
		writer->phase = NONE;
		return;
	}
	if (writer->phase == PREPARING || writer->phase == PREPARED)
		writer->phase = pick(&writer->random, 4) == 0 ? ROLLING_BACK :
			COMMITTING;
	run(writer, "%s PREPARED 'checker_%d'",
		writer->phase == COMMITTING ? "COMMIT" : "ROLLBACK", writer->number);
}

/* Note what became of the transaction. */
static void
settle(Writer *writer, Fate fate)
{
	int			n = 0;
	int			i;

	for (i = writer->first; i < writer->next; i++)
		if (writer->fates[i] == OPEN)
		{
			writer->fates[i] = fate;
			n++;
		}
	if (fate == COMMITTED)
		committed += n;
	if (fate != UNKNOWN || n == 0)
		return;
	writer->unknown = realloc(writer->unknown,
							  sizeof(Span) * (writer->nunknown + 1));
	writer->unknown[writer->nunknown].first = writer->first;
	writer->unknown[writer->nunknown++].end = writer->next;
}
