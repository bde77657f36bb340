/*
 * checker.c
 *	  Does anything get lost, repeated or out of order?
 *
 *		checker EVENTS SEED [--without-worker | --standby PORT]
 *
 * Sixteen writers append until so many events are committed, while readers
 * follow.  Whoever calls this kills and restarts the server meanwhile; lines
 * "progress EVENTS" say how far things are.  After a line "written" the server
 * is to be left alone, which the end of our input says; when that comes before,
 * the caller is gone, and so are we.  Then the tables are
 * read as they are, and compared with what writers know to be committed, and
 * with what each reader got.
 *
 * One reader follows by "id > last": that it loses events shows that the
 * others could have.
 *
 * The results are lines of names and numbers; those of a fault are 0 when all
 * is well.  The exit code says only whether the check could be made.
 */
#include <time.h>
#include <unistd.h>

#include "checker.h"

#define POLL(pattern) \
	"SELECT p.next_cursor, (e ->> 'id')::bigint, e ->> 'subject', " \
	"e ->> 'version', e #>> '{meta,n}' " \
	"FROM nvent.stream_poll('" pattern "', $1::bigint, $2::integer) p " \
	"LEFT JOIN LATERAL unnest(p.events) e ON true"

int			wanted;
atomic_int	committed;
atomic_llong last_position;
atomic_bool give_up;
bool		without_worker;
const char *standby_port;

static Writer writers[NWRITERS + 1];	/* the last: of the last event */

static Reader readers[] = {
	{.name = "poll",.turn = poll_turn,.poll = POLL("checker:>"),.only = -1},
	{.name = "part",.turn = poll_turn,.poll = POLL("checker:*:3"),.only = 3},
	{.name = "await",.turn = await_turn,.poll = POLL("checker:>"),.only = -1},
	{.name = "listen",.turn = listen_turn,.poll = POLL("checker:>"),.only = -1},
	{.name = "repeatable",.turn = repeatable_turn,
	.poll = POLL("checker:>"),.only = -1},
	{.name = "standby",.turn = poll_turn,.poll = POLL("checker:>"),
	.standby = true,.only = -1},
	{.name = "naive",.turn = poll_turn,
	.poll = "SELECT * FROM checker_naive($1::bigint, $2::integer)",.only = -1}
};

#define NREADERS	(int) (sizeof(readers) / sizeof(readers[0]))

/* Our input has ended. */
static atomic_bool left_alone;

static Event *truth;
static int	ntruth;

/* A random number below n. */
uint64_t
pick(uint64_t *random, uint64_t n)
{
	*random ^= *random << 13;
	*random ^= *random >> 7;
	*random ^= *random << 17;
	return (*random >> 11) % n;
}

/* Pause for up to so many microseconds, every second time. */
void
nap(uint64_t *random, int most_us)
{
	if (pick(random, 2) == 0)
		usleep(pick(random, most_us));
}

double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

/* Connect again; NULL when that cannot be done yet. */
PGconn *
reconnect(PGconn *conn, const char *name, int number, const char *port)
{
	char		info[200];

	PQfinish(conn);
	snprintf(info, sizeof(info), "application_name='checker %s %d'%s%s", name,
			 number, port == NULL ? "" : " port=", port == NULL ? "" : port);
	conn = PQconnectdb(info);
	if (PQstatus(conn) == CONNECTION_OK)
		return conn;
	PQfinish(conn);
	usleep(20000);
	return NULL;
}

/*
 * Did the server raise an error?  What has no SQLSTATE is said by libpq, which
 * lost the connection, or is about to find out, and 57P.. says so, too.
 */
bool
is_error(PGresult *result)
{
	const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);

	return state != NULL && strncmp(state, "57P", 3) != 0;
}

/* What must not happen. */
void
fail(PGconn *conn, const char *what)
{
	fprintf(stderr, "checker: %s: %s\n", what,
			conn == NULL ? "unexpected" : PQerrorMessage(conn));
	exit(1);
}

/* Make room in an array for element n; what is new is 0. */
void *
grow(void *array, int n, int *size, size_t width)
{
	int			old = *size;

	if (n < old)
		return array;
	*size = n < 500 ? 1000 : 2 * n;
	array = realloc(array, *size * width);
	memset((char *) array + old * width, 0, (*size - old) * width);
	return array;
}

/*
 * Does this reader take part?  Without a worker listeners are notified in the
 * transaction, when nobody can read it yet: they have to poll, too.
 */
static bool
runs(const Reader *reader)
{
	if (reader->standby)
		return standby_port != NULL;
	return !without_worker || reader->turn != listen_turn;
}

static void
start_all(uint64_t seed)
{
	int			i;

	for (i = 0; i < NREADERS; i++)
	{
		if (!runs(&readers[i]))
			continue;
		readers[i].random = (seed + 1) * 7919 + i;
		pthread_create(&readers[i].thread, NULL, run_reader, &readers[i]);
	}
	for (i = 0; i < NWRITERS; i++)
	{
		writers[i].number = i;
		writers[i].random = (seed + 1) * 104729 + i;
		pthread_create(&writers[i].thread, NULL, run_writer, &writers[i]);
	}
}

/* The thread that reads our input to its end. */
static void *
watch_caller(void *arg)
{
	(void) arg;
	while (getchar() != EOF)
		;
	left_alone = true;
	return NULL;
}

/* Say how far the writers are until they are done. */
static void
wait_for_writers(void)
{
	int			i;

	while (committed < wanted)
	{
		if (left_alone)
			fail(NULL, "nobody wants to know");
		printf("progress %d\n", committed);
		fflush(stdout);
		usleep(20000);
	}
	for (i = 0; i < NWRITERS; i++)
		pthread_join(writers[i].thread, NULL);
}

/* Run a statement that has a result. */
static PGresult *
run(PGconn *conn, const char *sql)
{
	PGresult   *result = PQexec(conn, sql);

	if (is_error(result) || PQstatus(conn) != CONNECTION_OK)
		fail(conn, sql);
	return result;
}

/*
 * Append the last event.  Its position is known before anybody can read it:
 * who did not know would wait for another one.
 */
static void
append_last(PGconn *conn)
{
	Writer	   *writer = &writers[NWRITERS];
	char		sql[200];
	PGresult   *result;

	writer->number = NWRITERS;
	writer->fates = grow(writer->fates, 0, &writer->size, 1);
	writer->fates[writer->next++] = COMMITTED;
	sprintf(sql, "SELECT nvent.stream_append('checker:t0:3', '{\"type\": \"t\", \"n\": %lld}') ->> 'id'",
			(long long) LABEL(NWRITERS, 0));
	PQclear(run(conn, "BEGIN"));
	result = run(conn, sql);
	last_position = atoll(PQgetvalue(result, 0, 0));
	PQclear(result);
	PQclear(run(conn, "COMMIT"));
}

/* Let the readers come to the end. */
static void
wait_for_readers(void)
{
	double		until = now() + PATIENCE;
	double		began = now();
	int			i;

	for (i = 0; i < NREADERS; i++)
		while (runs(&readers[i]) && !readers[i].arrived && now() < until)
			usleep(1000);
	give_up = true;
	for (i = 0; i < NREADERS; i++)
		readers[i].late = readers[i].arrived ? readers[i].late - began :
			PATIENCE;
}

/* Read the tables as they are. */
static void
read_truth(PGconn *conn)
{
	PGresult   *result = run(conn, "SELECT NULL, e.* FROM checker_events(0, 2147483647) e ORDER BY id");
	int			i;

	ntruth = PQntuples(result);
	truth = calloc(ntruth, sizeof(Event));
	for (i = 0; i < ntruth; i++)
		read_event(result, i, &truth[i]);
	PQclear(result);
}

/* Compare what writers know with what is there. */
static void
judge_writers(void)
{
	int			known = 0,
				missing = 0,
				revived = 0,
				unknown = 0,
				torn = 0,
				transactions = 0,
				deadlocks = 0,
				losses = 0;
	unsigned char *there[NWRITERS + 1];
	int			w,
				i;

	for (w = 0; w <= NWRITERS; w++)
		there[w] = calloc(writers[w].next + 1, 1);
	for (i = 0; i < ntruth; i++)
		there[LABEL_WRITER(truth[i].label)][LABEL_SERIAL(truth[i].label)]++;
	for (w = 0; w <= NWRITERS; w++)
	{
		Writer	   *writer = &writers[w];

		for (i = 0; i < writer->next; i++)
		{
			known += writer->fates[i] == COMMITTED;
			missing += writer->fates[i] == COMMITTED && there[w][i] != 1;
			revived += writer->fates[i] == ABORTED && there[w][i] != 0;
		}
		for (i = 0; i < writer->nunknown; i++)
		{
			int			found = 0,
						n = 0,
						j;

			for (j = writer->unknown[i].first; j < writer->unknown[i].end; j++)
				if (writer->fates[j] == UNKNOWN)
				{
					found += there[w][j];
					n++;
				}
			torn += found != 0 && found != n;
			unknown++;
		}
		transactions += writer->transactions;
		deadlocks += writer->deadlocks;
		losses += writer->losses;
		free(there[w]);
	}
	printf("writers transactions=%d deadlocks=%d lost_connections=%d events=%d known=%d unknown_transactions=%d missing=%d revived=%d torn=%d\n",
		   transactions, deadlocks, losses, ntruth, known, unknown, missing,
		   revived, torn);
}

static int
by_id(const void *a, const void *b)
{
	int64_t		x = ((const Event *) a)->id;
	int64_t		y = ((const Event *) b)->id;

	return x < y ? -1 : x > y;
}

/* Is this event one that the reader is to get? */
static bool
is_for(const Reader *reader, const Event *event)
{
	int			n = event->subject < MAX_TABLES * PER_TABLE ?
		event->subject % PER_TABLE : event->subject - MAX_TABLES * PER_TABLE;

	return reader->only < 0 || reader->only == n;
}

/* How many events came out of the order of positions, versions, writers. */
static void
judge_order(const Event *events, int n, int *disorder, int *versions,
			int *serials)
{
	int64_t		last_version[NSUBJECTS] = {0};
	int64_t		last_label[NWRITERS + 1];
	int			i;

	*disorder = *versions = *serials = 0;
	memset(last_label, 0xff, sizeof(last_label));
	for (i = 0; i < n; i++)
	{
		const Event *event = &events[i];
		int			w = LABEL_WRITER(event->label);

		*disorder += i > 0 && event->id <= event[-1].id;
		*serials += event->label <= last_label[w];
		last_label[w] = event->label;
		if (event->subject >= MAX_TABLES * PER_TABLE)
			continue;
		*versions += event->version != last_version[event->subject] + 1;
		last_version[event->subject] = event->version;
	}
}

/* Compare what a reader got with what is there. */
static void
judge_reader(Reader *reader)
{
	int			lost = 0,
				foreign = 0,
				repeated = 0,
				disorder,
				versions,
				serials,
				i,
				at = 0;
	Event	   *got = reader->events;

	judge_order(got, reader->n, &disorder, &versions, &serials);
	if (reader->n > 0)
		qsort(got, reader->n, sizeof(Event), by_id);
	for (i = 0; i < ntruth; i++)
	{
		if (!is_for(reader, &truth[i]))
			continue;
		for (; at < reader->n && got[at].id < truth[i].id; at++)
			foreign++;
		if (at == reader->n || got[at].id != truth[i].id)
		{
			lost++;
			continue;
		}
		foreign += memcmp(&got[at], &truth[i], sizeof(Event)) != 0;
		for (at++; at < reader->n && got[at].id == truth[i].id; at++)
			repeated++;
	}
	foreign += reader->n - at;
	printf("reader %s events=%d polls=%d lost_connections=%d late_ms=%d arrived=%d lost=%d foreign=%d repeated=%d disorder=%d versions=%d serials=%d\n",
		   reader->name, reader->n, reader->polls, reader->losses,
		   (int) (reader->late * 1000), reader->arrived, lost, foreign,
		   repeated, disorder, versions, serials);
}

int
main(int argc, char **argv)
{
	double		began = now();
	double		wrote;
	PGconn	   *conn;
	pthread_t	watcher;
	int			i;

	if (argc < 3)
		return 2;
	wanted = atoi(argv[1]);
	without_worker = argc > 3 && strcmp(argv[3], "--without-worker") == 0;
	if (argc > 4 && strcmp(argv[3], "--standby") == 0)
		standby_port = argv[4];
	pthread_create(&watcher, NULL, watch_caller, NULL);
	start_all(strtoull(argv[2], NULL, 10));
	wait_for_writers();
	wrote = now() - began;
	printf("written\n");
	fflush(stdout);
	while (!left_alone)
		usleep(1000);
	while ((conn = reconnect(NULL, "judge", 0, NULL)) == NULL)
		;
	append_last(conn);
	wait_for_readers();
	read_truth(conn);
	printf("time write_s=%d\n", (int) wrote);
	judge_writers();
	for (i = 0; i < NREADERS; i++)
		if (runs(&readers[i]))
			judge_reader(&readers[i]);
	return 0;
}
