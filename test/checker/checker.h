/*
 * checker.h
 *	  Writers that do everything at once, readers that follow them, and what
 *	  is compared in the end.  See checker.c.
 */
#ifndef CHECKER_H
#define CHECKER_H

#include <libpq-fe.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NWRITERS		16
#define MAX_TABLES		64		/* most of them made while all goes on */
#define PER_TABLE		32		/* subjects of each */
#define NSUBJECTS		(MAX_TABLES * PER_TABLE + NWRITERS)

/* An event is known by its writer and a number that this counts up. */
#define LABEL(writer, serial)	((int64_t) (writer) * 100000000 + (serial))
#define LABEL_WRITER(label)		((int) ((label) / 100000000))
#define LABEL_SERIAL(label)		((int) ((label) % 100000000))

/* What a writer knows of an event. */
typedef enum Fate
{
	ABORTED,
	OPEN,						/* in the transaction that is going on */
	COMMITTED,
	UNKNOWN						/* the answer to COMMIT was lost */
} Fate;

/* The events of a transaction, some of which may have been rolled back. */
typedef struct Span
{
	int			first;
	int			end;
} Span;

/* How far a transaction in two phases has come, for who lost the answer. */
typedef enum Phase
{
	NONE,
	PREPARING,
	PREPARED,
	COMMITTING,
	ROLLING_BACK
} Phase;

typedef struct Writer
{
	int			number;
	uint64_t	random;
	PGconn	   *conn;
	unsigned char *fates;		/* by serial */
	int			size;			/* of fates */
	int			next;			/* serial */
	int			first;			/* serial of this transaction */
	Phase		phase;
	Span	   *unknown;		/* transactions whose answer was lost */
	int			nunknown;
	int			transactions;
	int			deadlocks;
	int			losses;			/* of the connection */
	pthread_t	thread;
} Writer;

/* An event as a reader got it, or as it is in its table. */
typedef struct Event
{
	int64_t		id;
	int64_t		label;
	int64_t		version;		/* 0: has none */
	int			subject;		/* number */
} Event;

typedef struct Reader Reader;
struct Reader
{
	const char *name;
	void		(*turn) (Reader *reader);
	const char *poll;			/* statement; $1 cursor, $2 events at most */
	bool		standby;		/* it reads there */
	int			only;			/* last token of subjects it reads; -1: all */
	uint64_t	random;
	PGconn	   *conn;
	int64_t		cursor;			/* survives the server */
	Event	   *events;
	int			n;
	int			size;
	int			polls;
	int			losses;			/* of the connection */
	double		late;			/* s from the last commit until it was there */
	atomic_bool arrived;
	pthread_t	thread;
};

/* How long a reader may take for what is left, in s. */
#define PATIENCE		60

/* Number of events that are wanted, and that are committed. */
extern int	wanted;
extern atomic_int committed;

/* The last event's position, 0 while it is not there. */
extern atomic_llong last_position;
extern atomic_bool give_up;

/* Nobody but us publishes the safe position. */
extern bool without_worker;

/* The standby's port; NULL when there is none. */
extern const char *standby_port;

extern uint64_t pick(uint64_t *random, uint64_t n);
extern void nap(uint64_t *random, int most_us);
extern double now(void);
extern PGconn *reconnect(PGconn *conn, const char *name, int number,
						 const char *port);
extern bool is_error(PGresult *result);
extern void fail(PGconn *conn, const char *what);
extern void *grow(void *array, int n, int *size, size_t width);

extern void *run_writer(void *arg);
extern void *run_reader(void *arg);
extern Event *read_event(PGresult *result, int row, Event *event);
extern void poll_turn(Reader *reader);
extern void await_turn(Reader *reader);
extern void listen_turn(Reader *reader);
extern void repeatable_turn(Reader *reader);

#endif
