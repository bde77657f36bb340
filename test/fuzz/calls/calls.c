/*
 * calls.c
 *	  Can any call do harm?
 *
 *		calls FOLDER SECONDS SEED SHARE SHARES
 *
 * Sessions call functions of the extension with anything that the grammar in
 * the folder can say, while another one changes tables, routes and stores, and
 * drops the extension and makes it again.  Then it is seen whether everything
 * still works, and that no function of a share of them leaves memory.
 *
 * The first thing that must not be ends all of it, with the last statements of
 * each session; and whoever calls this looks into the server's log.
 */
#include <stdarg.h>
#include <time.h>
#include <unistd.h>

#include "calls.h"

/* How often the extension is dropped and made again, at least, in s. */
#define AGAIN	8

Session		sessions[NSESSIONS];
atomic_bool stop;
atomic_int	upheavals;
bool		assertions;

static const char *folder;
static uint64_t seed;
static double started;

/* A random number below n. */
uint64_t
pick(uint64_t *random, uint64_t n)
{
	*random ^= *random << 13;
	*random ^= *random >> 7;
	*random ^= *random << 17;
	return n == 0 ? 0 : (*random >> 11) % n;
}

double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

/* Print what a session did last. */
static void
show_session(const Session *session)
{
	int			i;

	fprintf(stderr, "\nsession %d (%s), its last statements:\n",
			session->number, session->does);
	for (i = 0; i < NREMEMBERED; i++)
	{
		const Remembered *last = &session->last[(session->statements + i) %
												NREMEMBERED];

		if (last->sql != NULL)
			fprintf(stderr, "%9.3f %s %s\n", last->at - started,
					last->took < 0 ? "runs " : last->state[0] == '\0' ?
					"00000" : last->state, last->sql);
	}
}

/* What must not happen. */
void
fail(const Session *session, const char *format, ...)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	va_list		args;
	int			i;

	pthread_mutex_lock(&lock);
	fprintf(stderr, "calls: seed %llu", (unsigned long long) seed);
	if (session != NULL)
		fprintf(stderr, ", session %d, after %.3f s", session->number,
				now() - started);
	fprintf(stderr, ": ");
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	for (i = 0; session != NULL && i < NSESSIONS; i++)
		if (&sessions[i] != session)
			show_session(&sessions[i]);
	if (session != NULL)
		show_session(session);
	fprintf(stderr, "\n");
	/* Others do not stop for us: what they use is not freed. */
	fflush(NULL);
	_exit(1);
}

/* One statement of those that a session says, connected again if need be. */
static void
take_turn(Session *session)
{
	if (PQstatus(session->conn) != CONNECTION_OK && !session_connect(session))
		fail(session, "cannot connect: %s", PQerrorMessage(session->conn));
	session_say(session, session->does);
	if (PQstatus(session->conn) == CONNECTION_OK)
		session_end(session);
}

/* A thread that calls functions. */
static void *
run_caller(void *arg)
{
	Session    *session = arg;

	while (!stop)
		take_turn(session);
	return NULL;
}

/* Make what is called upon; false when others were in the way. */
static bool
set_up(Session *session)
{
	char		path[1024];
	char		line[4096];
	FILE	   *file;
	bool		done = true;

	snprintf(path, sizeof(path), "%s/setup.sql", folder);
	file = fopen(path, "r");
	if (file == NULL)
		fail(NULL, "cannot read %s", path);
	while (done && fgets(line, sizeof(line), file) != NULL)
		if (line[0] != '\n' && line[0] != '-')
		{
			session_run(session, line);
			done = session->state[0] == '\0';
		}
	fclose(file);
	return done;
}

/* Drop the extension with all that was made of it, and begin again. */
static void
begin_again(Session *session)
{
	int			tries = 0;

	session->patient = true;
	upheavals++;
	do
	{
		if (tries++ == 100)
			fail(session, "the extension cannot be made again: %s",
				 session->message);
		session_say(session, "again");
	} while (session->state[0] != '\0' || !set_up(session));
	upheavals++;
	session->patient = false;
}

/* The thread that changes what others use. */
static void *
run_changer(void *arg)
{
	Session    *session = arg;
	double		again = now() + AGAIN;

	while (!stop)
	{
		take_turn(session);
		if (PQstatus(session->conn) == CONNECTION_OK && now() > again)
		{
			begin_again(session);
			again = now() + AGAIN;
		}
		usleep(pick(&session->timing, 60000));
	}
	return NULL;
}

/* Let sessions do what they do, for so long. */
static void
run_sessions(double seconds)
{
	int			i;

	for (i = 0; i <= NCALLERS; i++)
		pthread_create(&sessions[i].thread, NULL,
					   i < NCALLERS ? run_caller : run_changer, &sessions[i]);
	usleep(seconds * 1e6);
	stop = true;
	for (i = 0; i <= NCALLERS; i++)
		pthread_join(sessions[i].thread, NULL);
}

/* A statement's only value; the caller frees it. */
static char *
ask(Session *session, const char *sql)
{
	PGresult   *result = PQexec(session->conn, sql);
	char	   *value;

	if (PQresultStatus(result) != PGRES_TUPLES_OK)
		fail(session, "%s: %s", sql, PQerrorMessage(session->conn));
	value = strdup(PQgetvalue(result, 0, 0));
	PQclear(result);
	return value;
}

/* When all are gone, nothing is held, and an event is appended and polled. */
static void
check_afterwards(Session *session)
{
	double		until = now() + 30;
	char	   *cursor;
	char		sql[200];

	while (strcmp(ask(session, "SELECT count(*) FROM nvent.appenders"), "0") != 0)
		if (now() > until)
			fail(session, "an appender is left");
	begin_again(session);
	cursor = ask(session, "SELECT nvent.safe_position()");
	free(ask(session, "SELECT nvent.stream_append('a:end', '{\"type\": \"end\"}')"));
	snprintf(sql, sizeof(sql), "SELECT count(*) FROM nvent.stream_poll('a:end', %s) p, unnest(p.events)",
			 cursor);
	if (strcmp(ask(session, sql), "1") != 0)
		fail(session, "an event is not there: %s", sql);
	free(cursor);
}

/* Print what was done, and how long what was cancelled went on. */
static void
report_sessions(void)
{
	int			statements = 0;
	int			cancelled = 0;
	double		ran = 0;
	double		took = 0;
	int			i;

	for (i = 0; i < NSESSIONS; i++)
	{
		statements += sessions[i].statements;
		cancelled += sessions[i].cancelled;
		if (sessions[i].longest.ran > ran)
			ran = sessions[i].longest.ran;
		if (sessions[i].longest.took > took)
			took = sessions[i].longest.took;
	}
	printf("sessions statements=%d cancelled=%d ran_ms=%d took_ms=%d upheavals=%d\n",
		   statements, cancelled, (int) (ran * 1000), (int) (took * 1000),
		   upheavals / 2);
}

int
main(int argc, char **argv)
{
	char		path[1024];
	double		seconds;
	int			i;

	if (argc != 6)
		return 2;
	folder = argv[1];
	seconds = atof(argv[2]);
	seed = strtoull(argv[3], NULL, 10);
	started = now();
	snprintf(path, sizeof(path), "%s/grammar", folder);
	grammar_load(path);
	for (i = 0; i < NSESSIONS; i++)
	{
		sessions[i].number = i;
		sessions[i].random = (seed + 1) * 104729 + i * 7919;
		sessions[i].timing = (seed + 1) * 15485863 + i * 7919;
		sessions[i].does = i == 0 ? "first session" : i < NCALLERS ?
			"session" : i == NCALLERS ? "change" : "memory";
		if (!session_connect(&sessions[i]))
			fail(&sessions[i], "cannot connect: %s",
				 PQerrorMessage(sessions[i].conn));
	}
	assertions = strcmp(ask(&sessions[0], "SHOW debug_assertions"), "on") == 0;
	begin_again(&sessions[NCALLERS]);
	grammar_functions(sessions[NCALLERS].conn);
	run_sessions(seconds * 4 / 5);
	for (i = 0; i <= NCALLERS; i++)
		PQfinish(sessions[i].conn);
	check_afterwards(&sessions[NCALLERS + 1]);
	memory_check(&sessions[NCALLERS + 1], atoi(argv[4]), atoi(argv[5]),
				 started + seconds);
	report_sessions();
	grammar_report();
	judge_report();
	return 0;
}
