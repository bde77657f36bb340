/*
 * follow.c
 *	  When does a reader learn of an event, or a worker of a job?  Built and
 *	  run by notify.sh and queue.sh.
 *
 *	follow listen CHANNEL SECONDS	a session that listens
 *	follow wait PATTERN SECONDS		one in nvent.stream_wait()
 *	follow work QUEUE SECONDS		one in nvent.queue_work_await()
 *
 * Writes a line "microseconds since 1970 <tab> position <tab> subject" for
 * whatever arrives: all events of the subject up to the position were told of
 * at that time; an empty subject is any.  The first line is written when it
 * is ready, with the position to begin at.  Connects as the environment says.
 *
 * The one that waits then reads with nvent.stream_poll(), and the time is that
 * of the answer: it has the events, not just word of them.
 *
 * The one that works writes "microseconds <tab> ready" when it is, and then for
 * each job a line "microseconds <tab> when it was sent", as the job says itself
 * in {"at": microseconds}.
 */
#include <libpq-fe.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static PGconn *conn;
static long long until;

/* Microseconds on the clock that the server's timestamps are taken from. */
static long long
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return t.tv_sec * 1000000LL + t.tv_nsec / 1000;
}

/* Run a statement; the caller clears the result. */
static PGresult *
run(const char *sql, int nparams, const char *const *params)
{
	PGresult   *result = PQexecParams(conn, sql, nparams, NULL, params, NULL,
									  NULL, 0);
	ExecStatusType status = PQresultStatus(result);

	if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK)
	{
		fprintf(stderr, "follow: %s", PQerrorMessage(conn));
		exit(1);
	}
	return result;
}

/* Say that we are ready; returns the position to begin at. */
static char *
begin(void)
{
	PGresult   *result = run("SELECT nvent.safe_position()", 0, NULL);
	char	   *position = strdup(PQgetvalue(result, 0, 0));

	PQclear(result);
	printf("%lld\t%s\t\n", now(), position);
	fflush(stdout);
	return position;
}

/* A notification: {"stream": "subject", "id": position}. */
static void
print_notification(const PGnotify *notify, long long at)
{
	const char *subject = strstr(notify->extra, "\"stream\": ");
	const char *id = strstr(notify->extra, "\"id\": ");

	if (subject == NULL || id == NULL)
	{
		fprintf(stderr, "follow: payload %s\n", notify->extra);
		exit(1);
	}
	subject += strlen("\"stream\": ");
	id += strlen("\"id\": ");
	if (*subject == '"')
		printf("%lld\t%lld\t%.*s\n", at, atoll(id),
			   (int) strcspn(subject + 1, "\""), subject + 1);
	else
		printf("%lld\t%lld\t\n", at, atoll(id));
}

/* Print notifications until the time is up. */
static void
follow_channel(const char *channel)
{
	char	   *name = PQescapeIdentifier(conn, channel, strlen(channel));
	char		sql[200];

	snprintf(sql, sizeof(sql), "LISTEN %s", name);
	PQclear(run(sql, 0, NULL));
	free(begin());
	while (now() < until)
	{
		struct pollfd fd = {PQsocket(conn), POLLIN, 0};
		PGnotify   *notify;
		long long	at;

		if (poll(&fd, 1, 100) <= 0)
			continue;
		at = now();
		if (!PQconsumeInput(conn))
		{
			fprintf(stderr, "follow: %s", PQerrorMessage(conn));
			exit(1);
		}
		while ((notify = PQnotifies(conn)) != NULL)
		{
			print_notification(notify, at);
			PQfreemem(notify);
		}
	}
}

/* Wait and read by turns until the time is up. */
static void
follow_pattern(const char *pattern)
{
	const char *params[2] = {pattern, begin()};

	PQclear(PQprepare(conn, "wait",
					  "SELECT nvent.stream_wait($1, $2::bigint, '100 ms')",
					  2, NULL));
	PQclear(PQprepare(conn, "poll",
					  "SELECT next_cursor, events "
					  "FROM nvent.stream_poll($1, $2::bigint)", 2, NULL));
	while (now() < until)
	{
		PGresult   *result;

		result = PQexecPrepared(conn, "wait", 2, params, NULL, NULL, 0);
		if (PQresultStatus(result) == PGRES_TUPLES_OK &&
			PQgetvalue(result, 0, 0)[0] == 't')
		{
			PQclear(result);
			result = PQexecPrepared(conn, "poll", 2, params, NULL, NULL, 0);
			if (PQresultStatus(result) == PGRES_TUPLES_OK)
			{
				params[1] = strdup(PQgetvalue(result, 0, 0));
				printf("%lld\t%s\t\n", now(), params[1]);
			}
		}
		if (PQresultStatus(result) != PGRES_TUPLES_OK)
		{
			fprintf(stderr, "follow: %s", PQerrorMessage(conn));
			exit(1);
		}
		PQclear(result);
	}
}

/* Take jobs one by one, each with the completion of the last. */
static void
follow_queue(const char *queue)
{
	const char *params[2] = {queue, "[]"};
	PGresult   *last = NULL;

	PQclear(PQprepare(conn, "work", "CALL nvent.queue_work_await($1, "
					  "$2::jsonb, timeout => '100 ms')", 2, NULL));
	printf("%lld\tready\n", now());
	fflush(stdout);
	while (now() < until)
	{
		PGresult   *result;
		const char *at;

		result = PQexecPrepared(conn, "work", 2, params, NULL, NULL, 0);
		if (PQresultStatus(result) != PGRES_TUPLES_OK)
		{
			fprintf(stderr, "follow: %s", PQerrorMessage(conn));
			exit(1);
		}
		at = strstr(PQgetvalue(result, 0, 0), "\"at\": ");
		if (at != NULL)
			printf("%lld\t%lld\n", now(), atoll(at + strlen("\"at\": ")));
		PQclear(last);
		params[1] = PQgetvalue(result, 0, 0);
		last = result;
	}
	PQclear(last);
}

int
main(int argc, char **argv)
{
	if (argc != 4)
	{
		fprintf(stderr, "usage: follow listen|wait|work NAME SECONDS\n");
		return 1;
	}
	conn = PQconnectdb("application_name=follow");
	if (PQstatus(conn) != CONNECTION_OK)
	{
		fprintf(stderr, "follow: %s", PQerrorMessage(conn));
		return 1;
	}
	until = now() + atoll(argv[3]) * 1000000;
	if (strcmp(argv[1], "listen") == 0)
		follow_channel(argv[2]);
	else if (strcmp(argv[1], "work") == 0)
		follow_queue(argv[2]);
	else
		follow_pattern(argv[2]);
	PQfinish(conn);
	return 0;
}
