/*
 * grammar.c
 *	  Makes statements of the lines in the file "grammar", which says how.
 */
#include <ctype.h>

#include "calls.h"

#define MAX_NAMES	400
#define TOO_DEEP	12

/* A name, and the ways to spell it. */
typedef struct Name
{
	char	   *name;
	char	  **ways;
	int			nways;
	char	   *type;			/* what it is cast to; NULL for no cast */
} Name;

typedef struct Argument
{
	char	   *type;
	char	   *name;
	bool		optional;
	bool		variadic;
} Argument;

typedef struct Function
{
	char	   *name;
	char		kind;			/* as pg_proc has it */
	bool		is_query;		/* a set that is written in SQL */
	bool		rare;
	atomic_int	said;			/* queries of it ... */
	atomic_int	answered;		/* ... and those that were answered */
	Argument   *arguments;
	int			narguments;
} Function;

/* What a statement is being made of. */
typedef struct Speech
{
	Session    *session;
	FILE	   *out;
} Speech;

static Name names[MAX_NAMES];
static int	nnames;
static Function *functions;
static int	nfunctions;

static void say(Speech *speech, const char *name, int depth);

static Name *
find(const char *name)
{
	int			i;

	for (i = 0; i < nnames; i++)
		if (strcmp(names[i].name, name) == 0)
			return &names[i];
	return NULL;
}

/* Add a way to spell a name, as often as it is to count. */
static void
add_way(const char *name, const char *way, int times, bool values)
{
	Name	   *entry = find(name);

	if (entry == NULL)
	{
		if (nnames == MAX_NAMES)
			fail(NULL, "more than %d names", MAX_NAMES);
		entry = &names[nnames++];
		entry->name = strdup(name);
		if (values && strncmp(name, "any", 3) != 0)
			entry->type = strndup(name, strcspn(name, "."));
	}
	while (times-- > 0)
	{
		entry->ways = realloc(entry->ways,
							  (entry->nways + 1) * sizeof(char *));
		entry->ways[entry->nways++] = strdup(way);
	}
}

/* The length of the reference that text begins with; 0 when it is none. */
static int
read_reference(const char *text, char *name, size_t size)
{
	size_t		len = strspn(text + 1, "abcdefghijklmnopqrstuvwxyz_ .[]"
							 "0123456789");

	if (text[0] != '<' || text[1] == ' ' || len == 0 || text[len + 1] != '>')
		return 0;
	snprintf(name, size, "%.*s", (int) len, text + 1);
	return len + 2;
}

/* See that all references are to names that are there. */
static void
check_references(void)
{
	const char *at;
	char		name[100];
	int			i;
	int			j;

	for (i = 0; i < nnames; i++)
		for (j = 0; j < names[i].nways; j++)
			for (at = names[i].ways[j]; *at != '\0'; at++)
				if (read_reference(at, name, sizeof(name)) > 0 &&
					!isdigit((unsigned char) name[0]) &&
					strcmp(name, "gid") != 0 && strcmp(name, "call") != 0 &&
					strcmp(name, "query") != 0 && find(name) == NULL)
					fail(NULL, "the grammar has no \"%s\"", name);
}

/* Read the file. */
void
grammar_load(const char *path)
{
	FILE	   *file = fopen(path, "r");
	char		line[2000];
	bool		values = false;

	if (file == NULL)
		fail(NULL, "cannot read %s", path);
	while (fgets(line, sizeof(line), file) != NULL)
	{
		char	   *way = strstr(line, ": ");
		char	   *times;

		line[strcspn(line, "\n")] = '\0';
		values = values || strcmp(line, "%values") == 0;
		if (line[0] == '#' || line[0] == '%' || line[0] == '\0')
			continue;
		if (way == NULL)
			fail(NULL, "no name in \"%s\"", line);
		*way = '\0';
		times = strstr(line, " * ");
		if (times != NULL)
			*times = '\0';
		add_way(line, way + 2, times == NULL ? 1 : atoi(times + 3), values);
	}
	fclose(file);
	check_references();
}

/* Is this function called rarely? */
static bool
is_rare(const char *function)
{
	Name	   *rare = find("rare");
	int			i;

	for (i = 0; i < rare->nways; i++)
		if (strcmp(rare->ways[i], function) == 0)
			return true;
	return false;
}

/* Look up the functions that can be called, in a fixed order. */
void
grammar_functions(PGconn *conn)
{
	PGresult   *result = PQexec(conn,
		"SELECT p.oid, p.proname, p.prokind, a.type, a.name, a.optional, a.last, "
		"p.proretset AND p.prolang = 14 "
		"FROM pg_proc p LEFT JOIN LATERAL (SELECT n, format_type(t, NULL), "
		"coalesce(p.proargnames[n], ''), n > p.pronargs - p.pronargdefaults, "
		"n = p.pronargs AND p.provariadic <> 0 "
		"FROM unnest(p.proargtypes) WITH ORDINALITY AS u (t, n)) "
		"AS a (n, type, name, optional, last) ON true "
		"WHERE p.pronamespace = 'nvent'::regnamespace "
		"AND p.prorettype <> 'internal'::regtype "
		"AND NOT 'internal'::regtype = ANY (p.proargtypes) "
		"ORDER BY p.oid::regprocedure::text COLLATE \"C\", a.n");
	int			i;

	for (i = 0; i < PQntuples(result); i++)
	{
		Function   *function;
		Argument   *argument;

		if (i == 0 || strcmp(PQgetvalue(result, i, 0),
							 PQgetvalue(result, i - 1, 0)) != 0)
		{
			functions = realloc(functions, (nfunctions + 1) * sizeof(Function));
			function = &functions[nfunctions++];
			memset(function, 0, sizeof(Function));
			function->name = strdup(PQgetvalue(result, i, 1));
			function->kind = PQgetvalue(result, i, 2)[0];
			function->is_query = PQgetvalue(result, i, 7)[0] == 't';
			function->rare = is_rare(function->name);
		}
		if (PQgetisnull(result, i, 3))
			continue;
		function = &functions[nfunctions - 1];
		function->arguments = realloc(function->arguments,
									  (function->narguments + 1) * sizeof(Argument));
		argument = &function->arguments[function->narguments++];
		argument->type = strdup(PQgetvalue(result, i, 3));
		argument->name = strdup(PQgetvalue(result, i, 4));
		argument->optional = PQgetvalue(result, i, 5)[0] == 't';
		argument->variadic = PQgetvalue(result, i, 6)[0] == 't';
		if (find(argument->type) == NULL)
			fail(NULL, "the grammar has no value of type %s for nvent.%s",
				 argument->type, function->name);
	}
	if (nfunctions == 0)
		fail(NULL, "no functions: %s", PQerrorMessage(conn));
	PQclear(result);
}

/* The name of function i; NULL when there are fewer. */
const char *
grammar_function(int i)
{
	return i < nfunctions ? functions[i].name : NULL;
}

/* Does a statement call a function that is a query? */
bool
grammar_calls_query(const char *sql)
{
	char		call[100];
	int			i;

	for (i = 0; i < nfunctions; i++)
	{
		snprintf(call, sizeof(call), "nvent.%s(", functions[i].name);
		if (functions[i].is_query && strstr(sql, call) != NULL)
			return true;
	}
	return false;
}

/* Note a query of functions, and whether it was answered. */
void
grammar_note(const char *sql, bool answered)
{
	char		call[100];
	int			i;

	if (strncmp(sql, "SELECT ", 7) != 0 && strncmp(sql, "CALL ", 5) != 0)
		return;
	for (i = 0; i < nfunctions; i++)
	{
		snprintf(call, sizeof(call), "nvent.%s(", functions[i].name);
		if (strstr(sql, call) == NULL)
			continue;
		functions[i].said++;
		if (answered)
			functions[i].answered++;
	}
}

/* Print the functions that were never answered, or how often all of them. */
void
grammar_report(void)
{
	bool		all = getenv("CALLS_SHOW") != NULL;
	int			i;

	printf("never answered:");
	for (i = 0; i < nfunctions; i++)
		if (functions[i].answered == 0)
			printf(" %s", functions[i].name);
	printf("\n");
	for (i = 0; all && i < nfunctions; i++)
		printf("answered %s %d of %d\n", functions[i].name,
			   functions[i].answered, functions[i].said);
}

/* A value for an argument: one for its name, any one of its type, or NULL. */
static void
say_argument(Speech *speech, const Argument *argument, int depth)
{
	int			chance = pick(&speech->session->random, 30);
	char		name[200];

	snprintf(name, sizeof(name), "%s.%s", argument->type, argument->name);
	if (chance == 0)
		fprintf(speech->out, "NULL::%s", argument->type);
	else if (chance < 4 || find(name) == NULL)
		say(speech, argument->type, depth);
	else
		say(speech, name, depth);
}

/* A function with arguments; those of type anyelement are the same. */
static void
say_call(Speech *speech, const Function *function, int depth)
{
	uint64_t	before = speech->session->random;
	const char *comma = "";
	int			i;

	fprintf(speech->out, "nvent.%s(", function->name);
	for (i = 0; i < function->narguments; i++)
	{
		const Argument *argument = &function->arguments[i];

		if (argument->optional && pick(&speech->session->random, 2) == 0)
			continue;
		fputs(comma, speech->out);
		comma = ", ";
		if (argument->variadic)
			fputs("VARIADIC ", speech->out);
		if (argument->name[0] != '\0' && function->kind != 'a')
			fprintf(speech->out, "\"%s\" => ", argument->name);
		if (strcmp(argument->type, "anyelement") == 0)
		{
			speech->session->random = before;
			say(speech, argument->type, depth);
		}
		else
			say_argument(speech, argument, depth);
	}
	fputc(')', speech->out);
}

/* One of the functions, or of the procedures too. */
static const Function *
pick_function(Speech *speech, bool procedures)
{
	const Function *function;

	do
		function = &functions[pick(&speech->session->random, nfunctions)];
	while ((function->kind == 'p' && !procedures) ||
		   (function->rare && pick(&speech->session->random, 20) != 0));
	return function;
}

/* What <name> stands for. */
static void
say_reference(Speech *speech, const char *name, int depth)
{
	const Function *function;

	if (isdigit((unsigned char) name[0]))
		fprintf(speech->out, "%d",
				(int) pick(&speech->session->random, atoi(name)));
	else if (strcmp(name, "gid") == 0)
		fprintf(speech->out, "calls_%d", speech->session->number);
	else if (strcmp(name, "call") == 0)
		say_call(speech, pick_function(speech, false), depth);
	else if (strcmp(name, "query") == 0)
	{
		function = pick_function(speech, true);
		fputs(function->kind == 'p' ? "CALL " :
			  pick(&speech->session->random, 2) == 0 ? "SELECT " :
			  "SELECT * FROM ", speech->out);
		say_call(speech, function, depth);
	}
	else
		say(speech, name, depth);
}

/* Something of that name. */
static void
say(Speech *speech, const char *name, int depth)
{
	const Name *entry = find(name);
	const char *at;

	at = entry->ways[depth > TOO_DEEP ? 0 :
					 pick(&speech->session->random, entry->nways)];
	if (entry->type != NULL)
		fputc('(', speech->out);
	for (; *at != '\0'; at++)
	{
		char		reference[100];
		int			len = read_reference(at, reference, sizeof(reference));

		if (len == 0)
			fputc(*at, speech->out);
		else
		{
			say_reference(speech, reference, depth + 1);
			at += len - 1;
		}
	}
	if (entry->type != NULL)
		fprintf(speech->out, ")::%s", entry->type);
}

/* Statements of a name, between ";;"; the caller frees them. */
char *
grammar_say(Session *session, const char *name)
{
	char	   *text;
	size_t		len;
	Speech		speech = {session, open_memstream(&text, &len)};

	say_reference(&speech, name, 0);
	fclose(speech.out);
	return text;
}

/* A query that calls one function; the caller frees it. */
char *
grammar_call(Session *session, int function)
{
	char	   *text;
	size_t		len;
	Speech		speech = {session, open_memstream(&text, &len)};

	fputs(functions[function].kind == 'p' ? "CALL " : "SELECT ", speech.out);
	say_call(&speech, &functions[function], 0);
	fclose(speech.out);
	return text;
}
