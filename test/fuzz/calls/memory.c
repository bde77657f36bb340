/*
 * memory.c
 *	  Does a function leave memory behind?
 *
 * Its calls are repeated, each in a transaction that is rolled back, and then
 * all in one transaction, where their errors are caught.
 */
#include "calls.h"

#define NCALLS			5		/* of a function, with other arguments */
#define MAX_LEFT		12288	/* bytes that may be left after REPEATS */
#define MAX_LEFT_OPEN	1048576 /* in a transaction */
#define REPEATS			5

/*
 * Bytes in use, but for PostgreSQL's own cache, which keeps something of each
 * table that was ever made.
 */
static int64_t
used(Session *session)
{
	PGresult   *result = PQexec(session->conn,
		"SELECT sum(used_bytes)::bigint FROM pg_backend_memory_contexts "
		"WHERE name <> 'CacheMemoryContext'");
	int64_t		bytes;

	if (PQresultStatus(result) != PGRES_TUPLES_OK)
		fail(session, "%s", PQerrorMessage(session->conn));
	bytes = atoll(PQgetvalue(result, 0, 0));
	PQclear(result);
	return bytes;
}

/* Print the largest of what there is. */
static void
show_contexts(Session *session)
{
	PGresult   *result = PQexec(session->conn,
		"SELECT name || coalesce(' ' || left(ident, 60), ''), count(*), sum(used_bytes) "
		"FROM pg_backend_memory_contexts GROUP BY 1 ORDER BY 3 DESC LIMIT 12");
	int			i;

	for (i = 0; i < PQntuples(result); i++)
		printf("context %s: %s, %s bytes\n", PQgetvalue(result, i, 0),
			   PQgetvalue(result, i, 1), PQgetvalue(result, i, 2));
	PQclear(result);
}

/* Make the calls; those that take too long are none from then on. */
static void
repeat(Session *session, char **calls, int times)
{
	int			i;

	while (times-- > 0)
		for (i = 0; i < NCALLS; i++)
		{
			session_run(session, "BEGIN");
			session_run(session, calls[i]);
			if (strcmp(session->state, "57014") == 0)
				strcpy(calls[i], "");
			session_run(session, "ROLLBACK");
		}
}

/* Calls one after the other, each in a transaction of its own. */
static void
check_apart(Session *session, const char *function, char **calls)
{
	int64_t		before;
	int64_t		left = 0;
	int			tries;

	repeat(session, calls, 3);
	/* Caches grow at their leisure; what is lost grows each time. */
	for (tries = 0; tries < 4; tries++)
	{
		before = used(session);
		repeat(session, calls, REPEATS);
		left = used(session) - before;
		if (left <= MAX_LEFT)
			return;
	}
	show_contexts(session);
	fail(session, "%d calls of nvent.%s left %lld bytes", REPEATS * NCALLS,
		 function, (long long) left);
}

/* The same in one transaction that catches all errors. */
static void
check_together(Session *session, const char *function, char **calls)
{
	int			i;

	for (i = 0; i < NCALLS; i++)
	{
		char	   *block;
		size_t		len;
		FILE	   *out = open_memstream(&block, &len);
		int64_t		before;
		int64_t		left = 0;
		int			tries;

		fprintf(out, "DO $do$ BEGIN FOR i IN 1..20 LOOP BEGIN EXECUTE $call$%s$call$; EXCEPTION WHEN OTHERS THEN NULL; END; END LOOP; END $do$",
				calls[i]);
		fclose(out);
		session_run(session, "SET statement_timeout = '2s'");
		session_run(session, "BEGIN");
		session_run(session, block);
		/* What takes too long is not caught. */
		for (tries = 0; tries < 4 && session->state[0] == '\0'; tries++)
		{
			before = used(session);
			session_run(session, block);
			if (session->state[0] != '\0')
				break;
			left = used(session) - before;
			if (left <= MAX_LEFT_OPEN)
				break;
		}
		if (tries == 4)
		{
			show_contexts(session);
			fail(session, "20 calls of nvent.%s in a transaction left %lld bytes",
				 function, (long long) left);
		}
		session_run(session, "ROLLBACK");
		free(block);
	}
}

/* Look at a function, with other arguments each time. */
static void
check_function(Session *session, int function)
{
	const char *name = grammar_function(function);
	char	   *calls[NCALLS];
	int			i;

	session_run(session, "SET statement_timeout = '200ms'");
	for (i = 0; i < NCALLS; i++)
		calls[i] = grammar_call(session, function);
	check_apart(session, name, calls);
	check_together(session, name, calls);
	for (i = 0; i < NCALLS; i++)
		free(calls[i]);
}

/*
 * Look at every shares-th function from the first one on, and at all of them
 * again and again until that time when there is but one share.
 */
void
memory_check(Session *session, int first, int shares, double until)
{
	int			nfunctions = 0;
	int			checked = 0;
	int			i;

	while (grammar_function(nfunctions) != NULL)
		nfunctions++;
	session->patient = true;
	session_run(session, "SET nvent_store.max_wait = '1ms'");
	do
	{
		for (i = first % shares; i < nfunctions; i += shares)
		{
			check_function(session, i);
			checked++;
		}
	} while (shares == 1 && now() < until);
	printf("memory functions=%d of=%d kept_kb=%d\n", checked, nfunctions,
		   (int) (used(session) / 1024));
}
