/*
 * reader.c
 *	  Sessions that follow, each in a way of its own.  The cursor is here and
 *	  moves when a page has arrived; whatever becomes of the server, the next
 *	  page is read from there.
 */
#include <poll.h>
#include <unistd.h>

#include "checker.h"

static PGresult *query(Reader *reader, const char *sql);
static bool read_page(Reader *reader, int count, bool *any);
static bool read_all(Reader *reader);
static void take(Reader *reader, PGresult *result);

/* The thread of a reader: until it has the last event. */
void *
run_reader(void *arg)
{
	Reader	   *reader = arg;

	while (!give_up && (last_position == 0 || reader->cursor < last_position))
	{
		if (PQstatus(reader->conn) == CONNECTION_OK)
			reader->turn(reader);
		else
		{
			reader->losses += reader->conn != NULL;
			reader->conn = reconnect(reader->conn, reader->name, 0,
									 reader->standby ? standby_port : NULL);
			/* Who listens has missed the notifications of before. */
			if (reader->turn == listen_turn && reader->conn != NULL)
			{
				PQclear(query(reader, "LISTEN checker_events"));
				read_all(reader);
			}
		}
	}
	reader->late = now();
	reader->arrived = true;
	PQfinish(reader->conn);
	return NULL;
}

/* Run a statement; NULL when the connection was lost. */
static PGresult *
query(Reader *reader, const char *sql)
{
	PGresult   *result = PQexec(reader->conn, sql);

	if (PQresultStatus(result) == PGRES_TUPLES_OK ||
		PQresultStatus(result) == PGRES_COMMAND_OK)
		return result;
	if (is_error(result))
		fail(reader->conn, sql);
	PQclear(result);
	return NULL;
}

/* Read a page; false when the connection was lost. */
static bool
read_page(Reader *reader, int count, bool *any)
{
	char		cursor[32];
	char		most[32];
	const char *values[2] = {cursor, most};
	PGresult   *result;

	sprintf(cursor, "%lld", (long long) reader->cursor);
	sprintf(most, "%d", count);
	result = PQexecParams(reader->conn, reader->poll, 2, NULL, values,
						  NULL, NULL, 0);
	if (PQresultStatus(result) != PGRES_TUPLES_OK)
	{
		if (is_error(result))
			fail(reader->conn, reader->poll);
		PQclear(result);
		return false;
	}
	*any = PQntuples(result) > 0 && !PQgetisnull(result, 0, 1);
	take(reader, result);
	PQclear(result);
	return true;
}

/* Pages of all sizes until one is empty; false: the connection was lost. */
static bool
read_all(Reader *reader)
{
	bool		any = true;

	while (any)
		if (!read_page(reader, 1 + pick(&reader->random, 1000), &any))
			return false;
	return true;
}

/* Take a page and move the cursor. */
static void
take(Reader *reader, PGresult *result)
{
	int64_t		next = atoll(PQgetvalue(result, 0, 0));
	int			i;

	reader->polls++;
	if (next < reader->cursor)
		fail(NULL, "a cursor went back");
	for (i = 0; i < PQntuples(result); i++)
	{
		if (PQgetisnull(result, i, 1))
			continue;
		reader->events = grow(reader->events, reader->n, &reader->size,
							  sizeof(Event));
		read_event(result, i, &reader->events[reader->n++]);
	}
	reader->cursor = next;
}

/* An event of columns 1 to 4: id, subject, version and label. */
Event *
read_event(PGresult *result, int row, Event *event)
{
	const char *subject = PQgetvalue(result, row, 2);
	int			table;
	int			n;

	event->id = atoll(PQgetvalue(result, row, 1));
	event->version = atoll(PQgetvalue(result, row, 3));
	event->label = atoll(PQgetvalue(result, row, 4));
	if (sscanf(subject, "checker:t%d:%d", &table, &n) == 2)
		event->subject = table * PER_TABLE + n;
	else if (sscanf(subject, "checker:hand:%d", &n) == 1)
		event->subject = MAX_TABLES * PER_TABLE + n;
	else
		fail(NULL, subject);
	return event;
}

/* Look every few milliseconds. */
void
poll_turn(Reader *reader)
{
	bool		any;

	(void) read_page(reader, 1 + pick(&reader->random, 1000), &any);
	usleep(5000);
}

/*
 * Wait until there is something.  Who is not woken for the last event is seen
 * to come late, and not waited for for good.
 */
void
await_turn(Reader *reader)
{
	char		sql[150];

	if (!read_all(reader) ||
		(last_position != 0 && reader->cursor >= last_position))
		return;
	sprintf(sql, "CALL nvent.stream_await('checker:>', %lld, '%d s')",
			(long long) reader->cursor, PATIENCE);
	PQclear(query(reader, sql));
}

/* Read when notified, and only then. */
void
listen_turn(Reader *reader)
{
	struct pollfd wait = {PQsocket(reader->conn), POLLIN, 0};
	PGnotify   *notify;
	bool		notified = false;

	poll(&wait, 1, 100);
	if (!PQconsumeInput(reader->conn))
		return;
	while ((notify = PQnotifies(reader->conn)) != NULL)
	{
		notified = true;
		PQfreemem(notify);
	}
	if (notified)
		read_all(reader);
}

/* Several pages with one old snapshot. */
void
repeatable_turn(Reader *reader)
{
	bool		any;

	if (without_worker)
		PQclear(query(reader, "SELECT nvent.position_publish()"));
	PQclear(query(reader, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"));
	if (read_page(reader, 1000, &any))
	{
		usleep(5000);
		if (read_page(reader, 1000, &any))
			PQclear(query(reader, "COMMIT"));
	}
}
