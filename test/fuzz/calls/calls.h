/*
 * calls.h
 *	  Sessions that call functions with anything that can be said in SQL.  See
 *	  calls.c.
 */
#ifndef CALLS_H
#define CALLS_H

#include <libpq-fe.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NCALLERS	5
#define NSESSIONS	(NCALLERS + 2)	/* one that changes tables, one for memory */
#define NREMEMBERED	15

/* A statement, for the report. */
typedef struct Remembered
{
	char	   *sql;
	char		state[6];		/* SQLSTATE; empty when there was no error */
	double		at;
	double		took;
} Remembered;

/* What a process has had of a processor, and waited for one, in s. */
typedef struct Share
{
	double		ran;
	double		queued;
	long		turns;			/* how often it came to run */
} Share;

/* How a statement goes on that was cancelled, in s. */
typedef struct Delay
{
	double		began;
	Share		first;			/* what its process had had by then ... */
	Share		ours;			/* ... and we */
	double		ran;
	double		queued;
	double		took;			/* in all, but for queueing, ours too */
	bool		still;			/* it stayed in a wait that a cancel should end */
} Delay;

typedef struct Session
{
	int			number;
	const char *does;			/* name in the grammar */
	uint64_t	random;			/* what it says */
	uint64_t	timing;			/* when it is interrupted */
	PGconn	   *conn;
	pthread_t	thread;
	bool		slow;			/* it discards caches or compiles all the time */
	bool		patient;		/* it is not interrupted */
	bool		terminated;		/* by us */
	char		state[6];		/* of the last statement */
	bool		answered;		/* it said something */
	char		message[200];	/* of the last error */
	Share		before;			/* the last statement */
	Remembered	last[NREMEMBERED];
	int			statements;
	int			cancelled;
	Delay		longest;		/* the most of each */
} Session;

extern Session sessions[NSESSIONS];
extern atomic_bool stop;

/* Does the server look for faults of its own, which takes long? */
extern bool assertions;

/* It is odd while the extension comes and goes. */
extern atomic_int upheavals;

/* calls.c */
extern uint64_t pick(uint64_t *random, uint64_t n);
extern double now(void);
extern void fail(const Session *session, const char *format, ...)
			__attribute__((format(printf, 2, 3), noreturn));

/* grammar.c */
extern void grammar_load(const char *path);
extern void grammar_functions(PGconn *conn);
extern const char *grammar_function(int i);
extern bool grammar_calls_query(const char *sql);
extern void grammar_note(const char *sql, bool answered);
extern void grammar_report(void);
extern char *grammar_say(Session *session, const char *name);
extern char *grammar_call(Session *session, int function);

/* delay.c */
extern void delay_note(Session *session);
extern bool delay_has_begun(const Session *session);
extern bool delay_is_answered(const Session *session, long us);
extern bool delay_watch(const Session *session, double patience, Delay *delay);
extern void delay_end(const Session *session, Delay *delay);

/* session.c */
extern bool session_connect(Session *session);
extern void session_run(Session *session, const char *sql);
extern void session_say(Session *session, const char *name);
extern void session_end(Session *session);

/* judge.c */
extern void judge_result(Session *session, PGresult *result, int upheaval);
extern void judge_notice(void *arg, const PGresult *result);
extern void judge_report(void);

/* memory.c */
extern void memory_check(Session *session, int first, int shares,
						 double until);

#endif
