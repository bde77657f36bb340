/*
 * delay.c
 *	  How long does a statement go on for when it is cancelled?
 *
 * On a machine that others load, a process queues for a processor, and waits
 * for the disk and for others that do; that says nothing of it.  What does is
 * how long it runs, and whether it stays in a wait that a cancellation ends.
 */
#include <poll.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "calls.h"

/* How often a process is looked at, in us. */
#define GLANCE		10000

/* How long a process may stay in a wait that a cancellation ends, in s. */
#define MAX_STILL	0.1

/* What a statement has run for when it has begun for sure, in s. */
#define MIN_RUN		0.001

/* A process that sleeps. */
typedef struct Sleeper
{
	long		turns;
	double		since;			/* when it was looked at */
	bool		open;			/* was it in a wait that a cancellation ends? */
} Sleeper;

static Share
share_of(int pid)
{
	Share		share = {0, 0, 0};
	char		path[64];
	FILE	   *file;

	snprintf(path, sizeof(path), "/proc/%d/schedstat", pid);
	file = fopen(path, "r");
	if (file == NULL)
		return share;
	if (fscanf(file, "%lf %lf %ld", &share.ran, &share.queued,
			   &share.turns) != 3)
		share = (Share) {0, 0, 0};
	fclose(file);
	share.ran /= 1e9;
	share.queued /= 1e9;
	return share;
}

/* Is a process asleep, neither running, queueing nor waiting for the disk? */
static bool
is_asleep(int pid)
{
	char		path[64];
	char		line[256] = "";
	FILE	   *file;
	char	   *end;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	file = fopen(path, "r");
	if (file == NULL)
		return false;
	if (fgets(line, sizeof(line), file) == NULL)
		line[0] = '\0';
	fclose(file);
	end = strrchr(line, ')');
	return end != NULL && strncmp(end, ") S", 3) == 0;
}

/* Is a process in a wait that looks for a cancellation, as PostgreSQL says? */
static bool
is_in_open_wait(int pid)
{
	PGconn	   *conn = PQconnectdb("application_name='calls delay'");
	PGresult   *result;
	char		sql[200];
	bool		open;

	snprintf(sql, sizeof(sql), "SELECT FROM pg_stat_activity WHERE pid = %d "
			 "AND wait_event_type IN ('Lock', 'BufferPin', 'Extension')", pid);
	result = PQexec(conn, sql);
	open = PQntuples(result) == 1;
	PQclear(result);
	PQfinish(conn);
	return open;
}

/*
 * Look at a cancelled process, again and again: has it been in such a wait for
 * MAX_STILL, and not run meanwhile?
 */
static bool
stands_still(Sleeper *sleeper, int pid)
{
	long		turns = share_of(pid).turns;
	bool		was_open = sleeper->open;

	if (turns != sleeper->turns || !is_asleep(pid))
		*sleeper = (Sleeper) {turns, now(), false};
	else if (now() - sleeper->since > MAX_STILL)
	{
		sleeper->open = is_in_open_wait(pid);
		sleeper->since = now();
		return was_open && sleeper->open && is_asleep(pid) &&
			share_of(pid).turns == turns;
	}
	return false;
}

/* Note what a session's process has had before it is sent a statement. */
void
delay_note(Session *session)
{
	session->before = share_of(PQbackendPID(session->conn));
}

/*
 * Has the session's process begun with the statement that it was sent, so that
 * a cancellation would end it?  It may have if not.
 */
bool
delay_has_begun(const Session *session)
{
	int			pid = PQbackendPID(session->conn);
	Share		share = share_of(pid);

	return share.ran - session->before.ran > MIN_RUN ||
		(share.turns > session->before.turns && is_asleep(pid));
}

/* Is there an answer within so many microseconds? */
bool
delay_is_answered(const Session *session, long us)
{
	struct pollfd wait = {PQsocket(session->conn), POLLIN, 0};
	struct timespec timeout = {us / 1000000, us % 1000000 * 1000};

	return ppoll(&wait, 1, &timeout, NULL) != 0;
}

/* Look at how a process goes on; what is gone has nothing more. */
static void
glance(int pid, Delay *delay)
{
	Share		share = share_of(pid);

	if (share.turns == 0)
		return;
	delay->ran = share.ran - delay->first.ran;
	delay->queued = share.queued - delay->first.queued;
}

/*
 * Wait for the first of an answer to what was just cancelled; false when there
 * is none within so many seconds.
 */
bool
delay_watch(const Session *session, double patience, Delay *delay)
{
	int			pid = PQbackendPID(session->conn);
	Sleeper		sleeper;
	bool		answered;

	memset(delay, 0, sizeof(Delay));
	delay->began = now();
	delay->first = share_of(pid);
	delay->ours = share_of(syscall(SYS_gettid));
	sleeper = (Sleeper) {delay->first.turns, delay->began, false};
	while (!(answered = delay_is_answered(session, GLANCE)) &&
		   now() - delay->began < patience)
	{
		delay->still = delay->still || stands_still(&sleeper, pid);
		glance(pid, delay);
	}
	return answered;
}

/* The answer is there: add up what it took. */
void
delay_end(const Session *session, Delay *delay)
{
	glance(PQbackendPID(session->conn), delay);
	delay->took = now() - delay->began - delay->queued -
		(share_of(syscall(SYS_gettid)).queued - delay->ours.queued);
}
