/*
 * session.c
 *	  Runs what the grammar says, and interrupts it now and then.
 *
 * What is said depends on the seed alone.  When a statement is cancelled, or
 * its session terminated, depends on it too, but not what it was just doing.
 */
#include <errno.h>
#include <poll.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "calls.h"

/*
 * Time that a statement may go on for when it is cancelled, in s: on a
 * processor, and in all.  It takes less than 0.1 s by far, but assertions, and
 * removing the files of a store that was being made, are slow.
 */
#define MAX_DELAY	0.4
#define MAX_PATIENCE	5.0

/* How long a statement may take until it is cancelled anyway, in us. */
#define MAX_STATEMENT	10000000

/* What a process has had of a processor, and waited for one, in s. */
typedef struct Share
{
	double		ran;
	double		queued;
} Share;

static Share
share_of(int pid)
{
	Share		share = {0, 0};
	char		path[64];
	FILE	   *file;
	double		ran;
	double		queued;

	snprintf(path, sizeof(path), "/proc/%d/schedstat", pid);
	file = fopen(path, "r");
	if (file == NULL)
		return share;
	if (fscanf(file, "%lf %lf", &ran, &queued) == 2)
		share = (Share) {ran / 1e9, queued / 1e9};
	fclose(file);
	return share;
}

/* Connect; false when that cannot be done. */
bool
session_connect(Session *session)
{
	char		info[300];
	PGresult   *result;

	PQfinish(session->conn);
	session->terminated = session->slow = false;
	snprintf(info, sizeof(info), "application_name='calls %d' client_encoding=UTF8 options='-c lock_timeout=1s -c client_min_messages=warning'",
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

/* Is there an answer within so many microseconds? */
static bool
is_answered(Session *session, long us)
{
	struct pollfd wait = {PQsocket(session->conn), POLLIN, 0};
	struct timespec timeout = {us / 1000000, us % 1000000 * 1000};

	return ppoll(&wait, 1, &timeout, NULL) != 0;
}

/* Take all results of the statement that is running. */
static void
take_results(Session *session, int upheaval)
{
	PGresult   *result;
	char	   *data;

	session->state[0] = '\0';
	while ((result = PQgetResult(session->conn)) != NULL)
	{
		ExecStatusType status = PQresultStatus(result);

		judge_result(session, result, upheaval);
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

/*
 * Cancel what is running, and see that it ends soon.  The first request may
 * come before the statement.
 */
static void
cancel(Session *session, int upheaval)
{
	int			pid = PQbackendPID(session->conn);
	int			tries = 0;
	double		began;
	double		took;
	Share		backend;
	Share		self;

	session->cancelled++;
	do
	{
		request_cancel(session);
		began = now();
		backend = share_of(pid);
		self = share_of(syscall(SYS_gettid));
	} while (tries++ == 0 && !is_answered(session, 1000000));
	take_results(session, upheaval);
	took = now() - began;
	took -= share_of(pid).queued - backend.queued;
	took -= share_of(syscall(SYS_gettid)).queued - self.queued;
	if (session->slow)
		return;
	if (took > session->latest)
		session->latest = took;
	if (took > MAX_PATIENCE || share_of(pid).ran - backend.ran > MAX_DELAY)
		fail(session, "a cancelled statement went on for %.0f ms, %.0f of them on a processor",
			 took * 1000, (share_of(pid).ran - backend.ran) * 1000);
}

/* End the session, and see that it ends soon. */
static void
terminate(Session *session, int upheaval)
{
	double		began = now();
	PGconn	   *conn = PQconnectdb("application_name='calls terminate'");
	char		sql[100];

	snprintf(sql, sizeof(sql), "SELECT pg_terminate_backend(%d)",
			 PQbackendPID(session->conn));
	PQclear(PQexec(conn, sql));
	if (PQstatus(conn) != CONNECTION_OK)
		fail(session, "cannot connect: %s", PQerrorMessage(conn));
	PQfinish(conn);
	session->terminated = true;
	take_results(session, upheaval);
	if (now() - began > MAX_PATIENCE)
		fail(session, "a terminated session went on for %.0f ms",
			 (now() - began) * 1000);
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

	if (!PQsendQuery(session->conn, sql))
		fail(session, "cannot send: %s", PQerrorMessage(session->conn));
	if (session->patient || chance >= 20)
		us = MAX_STATEMENT;
	if (is_answered(session, us))
		take_results(session, upheaval);
	else if (us == MAX_STATEMENT || chance > 0)
		cancel(session, upheaval);
	else
		terminate(session, upheaval);
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
