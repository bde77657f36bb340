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

typedef struct Session
{
	int			number;
	const char *does;			/* name in the grammar */
	uint64_t	random;			/* what it says */
	uint64_t	timing;			/* when it is interrupted */
	PGconn	   *conn;
	pthread_t	thread;
	bool		slow;			/* it discards caches, or compiles, all the time */
	bool		patient;		/* it is not interrupted */
	bool		terminated;		/* by us */
	char		state[6];		/* of the last statement */
	char		message[200];	/* of the last error */
	Remembered	last[NREMEMBERED];
	int			statements;
	int			cancelled;
	double		latest;			/* s from a cancel to the answer, at most */
} Session;

extern Session sessions[NSESSIONS];
extern atomic_bool stop;

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
extern char *grammar_say(Session *session, const char *name);
extern char *grammar_call(Session *session, int function);

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
extern void memory_check(Session *session, double until);

#endif
