/*
 * session.c
 *	  Runs what the grammar says, and interrupts it now and then.
 *
 * What is said depends on the seed alone.  When a statement is cancelled, or
 * its session terminated, depends on it too, but not what it was just doing.
 */
#include <unistd.h>

#include "calls.h"

/*
 * How long a statement may run for when it is cancelled, in s, and what it may
 * take in all but queueing: only the former is the same wherever it runs.  With
 * assertions PostgreSQL itself takes longer.
 */
#define MAX_RUN				0.1
#define MAX_RUN_ASSERT		0.4
#define MAX_PATIENCE		30.0

/* How long an answer is waited for at all, in s. */
#define MAX_ANSWER			60

/* When a statement that had perhaps not begun is cancelled again, in s. */
#define TOO_EARLY			0.02

/* How long a statement may take until it is cancelled anyway, in us. */
#define MAX_STATEMENT	10000000

/* Connect; false when that cannot be done. */
bool
session_connect(Session *session)
{
	char		info[300];
	PGresult   *result;

	PQfinish(session->conn);
	session->terminated = session->slow = false;
	/* Some calls are quadratic, and nobody is to wait for minutes. */
	snprintf(info, sizeof(info), "application_name='calls %d' client_encoding=UTF8 options='-c lock_timeout=1s -c statement_timeout=20s -c client_min_messages=warning'",
			 session->number);
	session->conn = PQconnectdb(info);
	if (PQstatus(session->conn) != CONNECTION_OK)
		return false;
	PQsetNoticeReceiver(session->conn, judge_notice, session);
	snprintf(info, sizeof(info), "ROLLBACK PREPARED 'calls_%d'",
			 session->number);
	result = PQexec(session->conn, info);
	PQclear(result);
	return true;
}

/* Is it an answer, and not NULL, false or no rows? */
static bool
is_answer(const PGresult *result)
{
	if (PQresultStatus(result) == PGRES_COMMAND_OK)
		return true;
	return PQresultStatus(result) == PGRES_TUPLES_OK &&
		PQntuples(result) > 0 && !PQgetisnull(result, 0, 0) &&
		strcmp(PQgetvalue(result, 0, 0), "f") != 0;
}

/* Take all results of the statement that is running. */
static void
take_results(Session *session, int upheaval)
{
	PGresult   *result;
	char	   *data;

	session->state[0] = '\0';
	session->answered = false;
	while ((result = PQgetResult(session->conn)) != NULL)
	{
		ExecStatusType status = PQresultStatus(result);

		judge_result(session, result, upheaval);
		session->answered = is_answer(result);
		PQclear(result);
		if (status == PGRES_COPY_OUT)
			while (PQgetCopyData(session->conn, &data, 0) > 0)
				PQfreemem(data);
		if (PQstatus(session->conn) != CONNECTION_OK)
			return;
	}
}

/* Cancel what is running. */
static void
request_cancel(Session *session)
{
	PGcancel   *request = PQgetCancel(session->conn);
	char		error[256];

	if (!PQcancel(request, error, sizeof(error)))
		fail(session, "cannot cancel: %s", error);
	PQfreeCancel(request);
}

/* Fail when what was cancelled went on for too long. */
static void
judge_delay(Session *session, const Delay *delay)
{
	Delay	   *longest = &session->longest;

	if (delay->ran > longest->ran)
		longest->ran = delay->ran;
	if (delay->took > longest->took)
		longest->took = delay->took;
	if (delay->ran > (assertions ? MAX_RUN_ASSERT : MAX_RUN) ||
		delay->took > MAX_PATIENCE || delay->still)
		fail(session, "what was cancelled went on for %.0f ms, of which it ran for %.0f ms and queued for %.0f ms%s",
			 (now() - delay->began) * 1000, delay->ran * 1000,
			 delay->queued * 1000,
			 delay->still ? ", and stayed in a wait" : "");
}

/*
 * Cancel what is running, and see that it ends soon.  A request that comes
 * before the statement is for nothing, and there is another one.
 */
static void
cancel(Session *session, int upheaval)
{
	Delay		delay;
	bool		begun;
	bool		answered;

	session->cancelled++;
	do
	{
		begun = delay_has_begun(session);
		request_cancel(session);
		answered = delay_watch(session, begun ? MAX_ANSWER : TOO_EARLY, &delay);
	} while (!begun && !answered);
	take_results(session, upheaval);
	delay_end(session, &delay);
	if (!session->slow && begun)
		judge_delay(session, &delay);
}

/* End the session, and see that it ends soon. */
static void
terminate(Session *session, int upheaval)
{
	PGconn	   *conn = PQconnectdb("application_name='calls terminate'");
	Delay		delay;
	char		sql[100];

	snprintf(sql, sizeof(sql), "SELECT pg_terminate_backend(%d)",
			 PQbackendPID(session->conn));
	PQclear(PQexec(conn, sql));
	if (PQstatus(conn) != CONNECTION_OK)
		fail(session, "cannot connect: %s", PQerrorMessage(conn));
	PQfinish(conn);
	session->terminated = true;
	delay_watch(session, MAX_ANSWER, &delay);
	take_results(session, upheaval);
	delay_end(session, &delay);
	if (!session->slow)
		judge_delay(session, &delay);
}

/* Note a statement, forgetting the oldest one. */
static Remembered *
remember(Session *session, const char *sql)
{
	Remembered *last = &session->last[session->statements++ % NREMEMBERED];

	free(last->sql);
	last->sql = strdup(sql);
	last->at = now();
	last->took = -1;
	last->state[0] = '\0';
	return last;
}

/* Run a statement; its SQLSTATE is in session->state, empty for no error. */
void
session_run(Session *session, const char *sql)
{
	Remembered *last = remember(session, sql);
	int			upheaval = upheavals;
	int			chance = pick(&session->timing, 200);
	long		us = 1L << pick(&session->timing, 17);

	delay_note(session);
	if (!PQsendQuery(session->conn, sql))
		fail(session, "cannot send: %s", PQerrorMessage(session->conn));
	if (session->patient || chance >= 20)
		us = MAX_STATEMENT;
	if (delay_is_answered(session, us))
		take_results(session, upheaval);
	else if (us == MAX_STATEMENT || chance > 0)
		cancel(session, upheaval);
	else
		terminate(session, upheaval);
	grammar_note(sql, session->answered);
	last->took = now() - last->at;
	memcpy(last->state, session->state, sizeof(last->state));
	if (strncmp(sql, "SET debug_discard_caches", 24) == 0)
		session->slow = strchr(sql, '1') != NULL;
	if (strcmp(sql, "SET jit_above_cost = 0") == 0)
		session->slow = true;
	if (PQstatus(session->conn) != CONNECTION_OK && !session->terminated)
		fail(session, "the connection was lost: %s",
			 PQerrorMessage(session->conn));
}

/* Does the statement end a transaction? */
static bool
is_end(const char *sql)
{
	return strncmp(sql, "ROLLBACK", 8) == 0 || strncmp(sql, "COMMIT", 6) == 0;
}

/* Run the statements of a name; after an error what a transaction rolls back. */
void
session_say(Session *session, const char *name)
{
	char	   *text = grammar_say(session, name);
	char	   *sql = text;

	while (sql != NULL && PQstatus(session->conn) == CONNECTION_OK)
	{
		char	   *end = strstr(sql, " ;; ");

		if (end != NULL)
			*end = '\0';
		if (PQtransactionStatus(session->conn) != PQTRANS_INERROR ||
			is_end(sql))
			session_run(session, sql);
		sql = end == NULL ? NULL : end + 4;
	}
	free(text);
}

/* Leave nothing of what was said but what a backend keeps by itself. */
void
session_end(Session *session)
{
	bool		patient = session->patient;

	session->patient = true;
	if (PQtransactionStatus(session->conn) != PQTRANS_IDLE)
		session_run(session, "ROLLBACK");
	if (PQstatus(session->conn) == CONNECTION_OK)
		session_run(session, "RESET ROLE; RESET ALL; CLOSE ALL");
	session->slow = false;
	session->patient = patient;
}
