/*
 * judge.c
 *	  What a server may answer to anything that can be said.
 *
 * An error has an SQLSTATE that says what is wrong, never "internal error", and
 * what it says is text.  Resources do not leak.
 */
#include "calls.h"

#define MAX_STATES	300

/* How often there was an SQLSTATE, and what it first said. */
static struct
{
	char		state[6];
	int			n;
	char	   *message;
	char	   *sql;
}			states[MAX_STATES];
static int	nstates;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* What PostgreSQL itself says while a function is being dropped. */
static const char *const upheaval_messages[] = {
	"cache lookup failed for function",
	"cache lookup failed for aggregate",
	"cache lookup failed for type",
};

#define NUPHEAVAL	(sizeof(upheaval_messages) / sizeof(upheaval_messages[0]))

/* What it says when two change one object of its catalogs. */
static const char *const change_messages[] = {
	"tuple concurrently",
};

/* And what GRANT ... ON ALL TABLES says, which locks none, when one goes. */
static const char *const grant_messages[] = {
	"cache lookup failed for relation",
};

static bool
is_one_of(const char *message, const char *const *list, int n)
{
	int			i;

	for (i = 0; i < n; i++)
		if (strncmp(message, list[i], strlen(list[i])) == 0)
			return true;
	return false;
}

/* The statement that is running, or that was the last to. */
static const char *
last_sql(const Session *session)
{
	return session->last[(session->statements - 1) % NREMEMBERED].sql;
}

/* Is it valid UTF-8? */
static bool
is_text(const char *text)
{
	const unsigned char *at = (const unsigned char *) text;

	while (*at != '\0')
	{
		int			n = *at < 0x80 ? 0 : *at >= 0xc2 && *at < 0xe0 ? 1 :
			(*at & 0xf0) == 0xe0 ? 2 : *at >= 0xf0 && *at < 0xf5 ? 3 : -1;

		if (n < 0)
			return false;
		for (at++; n > 0; n--, at++)
			if ((*at & 0xc0) != 0x80)
				return false;
	}
	return true;
}

/* Is it text that a session is told, or bytes as others have left them? */
static bool
is_utf8(const Session *session, const char *parameter)
{
	const char *encoding = PQparameterStatus(session->conn, parameter);

	return encoding != NULL && strcmp(encoding, "UTF8") == 0;
}

/* Count an SQLSTATE. */
static void
count(const char *state, const char *message, const char *sql)
{
	int			i;

	pthread_mutex_lock(&lock);
	for (i = 0; i < nstates && strcmp(states[i].state, state) != 0; i++)
		;
	if (i == nstates && nstates < MAX_STATES)
	{
		memcpy(states[nstates].state, state, 6);
		states[nstates].message = strdup(message);
		states[nstates++].sql = strdup(sql);
	}
	if (i < nstates)
		states[i].n++;
	pthread_mutex_unlock(&lock);
}

/* May there be such an internal error? */
static bool
is_excused(const Session *session, const PGresult *result, int upheaval)
{
	const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
	const char *context = PQresultErrorField(result, PG_DIAG_CONTEXT);
	const char *ignored = getenv("CALLS_IGNORE");

	if (ignored != NULL && strstr(message, ignored) != NULL)
		return true;
	if (upheaval != upheavals || upheaval % 2 == 1)
	{
		if (is_one_of(message, upheaval_messages, NUPHEAVAL))
			return true;
		/* It looks for locks too late in a function that is SQL. */
		if (context != NULL && strncmp(context, "SQL function", 12) == 0)
			return true;
	}
	/* Two that grant on one thing at once, of which one is a GRANT by hand. */
	if ((strstr(last_sql(session), "store_grant") != NULL ||
		 strstr(last_sql(session), "store_revoke") != NULL) &&
		is_one_of(message, change_messages, 1))
		return true;
	if (strcmp(session->does, "change") != 0)
		return false;
	return is_one_of(message, change_messages, 1) ||
		(strstr(last_sql(session), " ON ALL TABLES ") != NULL &&
		 is_one_of(message, grant_messages, 1));
}

/*
 * May resources leak at a commit?  PostgreSQL before 18 loses what a set that is
 * written in SQL holds when it goes on after the subtransaction that began it:
 * "fcache->subxid" in fmgr_sql().  A cursor that is held does so at the commit.
 */
static bool
may_leak(const Session *session)
{
	int			i;

	if (strncmp(last_sql(session),
				"COMMIT", 6) != 0)
		return false;
	for (i = 0; i < NREMEMBERED; i++)
		if (session->last[i].sql != NULL &&
			strncmp(session->last[i].sql, "DECLARE held", 12) == 0 &&
			grammar_calls_query(session->last[i].sql))
			return true;
	return false;
}

/* Fail when an error or a warning is none that should be. */
static void
judge_message(Session *session, const PGresult *result, int upheaval)
{
	static const int fields[] = {
		PG_DIAG_MESSAGE_PRIMARY, PG_DIAG_MESSAGE_DETAIL, PG_DIAG_MESSAGE_HINT,
		PG_DIAG_CONTEXT
	};
	const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
	const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
	bool		utf8 = is_utf8(session, "client_encoding") &&
		is_utf8(session, "server_encoding");
	int			i;

	if (state == NULL || message == NULL)
		return;
	if ((strncmp(state, "XX", 2) == 0 || strcmp(state, "53200") == 0 ||
		 strcmp(state, "42601") == 0) &&
		!is_excused(session, result, upheaval))
		fail(session, "%s", PQresultVerboseErrorMessage(result,
														PQERRORS_VERBOSE, PQSHOW_CONTEXT_ALWAYS));
	if (strstr(message, "leak") != NULL && !may_leak(session))
		fail(session, "%s", message);
	for (i = 0; utf8 && i < 4; i++)
	{
		const char *text = PQresultErrorField(result, fields[i]);

		if (text != NULL && !is_text(text))
			fail(session, "an error that is no text: %s", text);
	}
}

/* Judge a result of the last statement. */
void
judge_result(Session *session, PGresult *result, int upheaval)
{
	const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);

	if (state == NULL)
		return;
	snprintf(session->state, sizeof(session->state), "%s", state);
	snprintf(session->message, sizeof(session->message), "%s",
			 PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY));
	count(state, PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY),
		  last_sql(session));
	if (strncmp(state, "57P", 3) == 0 && !session->terminated)
		fail(session, "%s", PQresultErrorMessage(result));
	judge_message(session, result, upheaval);
}

/* The notice receiver of sessions. */
void
judge_notice(void *arg, const PGresult *result)
{
	judge_message(arg, result, upheavals);
}

/* Print what errors there were. */
void
judge_report(void)
{
	int			i;

	for (i = 0; i < nstates; i++)
		printf("error %s n=%d %.200s\n", states[i].state, states[i].n,
			   states[i].message);
	if (getenv("CALLS_SHOW") != NULL)
		for (i = 0; i < nstates; i++)
			printf("%s %.200s\n    %.1000s\n", states[i].state, states[i].message,
				   states[i].sql);
}
