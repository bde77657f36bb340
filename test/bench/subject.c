/*
 * subject.c
 *	  Times the trie and the matchers outside a server, where a call costs
 *	  nothing but itself.
 *
 * Prints lines of label, value, unit and required, separated by tabs; run by
 * subject.sh, which subject.sql calls.  A value is the best of many runs:
 * the machine is shared, and nothing makes code faster than it is.
 */
#include "postgres.h"

#include <time.h>

#include "../fuzz/shim.h"
#include "subject/subject.h"
#include "subject/trie.h"

#define ROUTES		10000
#define BENCH_NS	2e8			/* how long each thing is timed */

/* One thing to time; returns something that the compiler cannot foresee. */
typedef uint64 (*Work) (void *arg, int i);

static uint64 sink;

/* Monotonic time in ns. */
static double
now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

/* Time of one call in ns, calls of them at a time. */
static double
time_call(Work work, void *arg, int calls)
{
	double		first = now_ns();
	double		best = 1e18;
	double		start;
	int			i;

	do
	{
		double		elapsed;

		start = now_ns();
		for (i = 0; i < calls; i++)
			sink += work(arg, i);
		elapsed = (now_ns() - start) / calls;
		best = Min(best, elapsed);
	} while (start - first < BENCH_NS);
	return best;
}

/* Print a line of the table. */
static void
report(const char *label, double value, const char *unit, const char *required)
{
	printf("%s\t%.*f\t%s\t%s\n", label, value < 100 ? 1 : 0, value, unit,
		   required);
}

/* A trie and the subjects to look up in it. */
typedef struct TrieBench
{
	NvsTrie    *trie;
	int			nsubjects;
	char	   *subjects[ROUTES];
	int			lens[ROUTES];
} TrieBench;

/* Work: one lookup, with captures. */
static uint64
lookup(void *arg, int i)
{
	TrieBench  *bench = arg;
	int			n = i % bench->nsubjects;
	NvsCapture	captures[NVS_SUBJECT_MAX_TOKENS];
	int			ncaptures = 0;

	return (uint64) (uintptr_t) nvs_trie_lookup(bench->trie, bench->subjects[n],
												bench->lens[n], captures,
												&ncaptures);
}

/* Add a pattern. */
static void
add_route(TrieBench *bench, const char *pattern)
{
	nvs_trie_add(bench->trie, nvs_pattern_compile(pattern, strlen(pattern)),
				 bench);
}

/* Add a subject to look up, which must find a route if found is set. */
static void
add_subject(TrieBench *bench, const char *subject, bool found)
{
	int			len = strlen(subject);
	void	   *hit = nvs_trie_lookup(bench->trie, subject, len, NULL, NULL);

	if (found != (hit != NULL))
	{
		fprintf(stderr, "unexpected answer for %s\n", subject);
		exit(1);
	}
	bench->subjects[bench->nsubjects] = pnstrdup(subject, len);
	bench->lens[bench->nsubjects++] = len;
}

/* Time the lookups of a bench. */
static void
report_lookups(TrieBench *bench, const char *label, const char *required)
{
	report(label, time_call(lookup, bench, bench->nsubjects > 100 ?
							bench->nsubjects : 100), "ns", required);
}

/* An empty bench. */
static TrieBench *
make_bench(void)
{
	TrieBench  *bench = palloc0(sizeof(TrieBench));

	bench->trie = nvs_trie_create(NULL);
	return bench;
}

/* Routes as 1,000 tenants have them, ten each, with every kind of token. */
static void
bench_tenants(void)
{
	static const char *const shapes[] = {
		"tenant%d:orders:{id}", "tenant%d:orders:{id}:lines:{line...}",
		"tenant%d:orders:*:created", "tenant%d:orders:>",
		"tenant%d:flow:run:{run_id...}", "tenant%d:flow:*:{x}:done",
		"tenant%d:triggers", "tenant%d:{kind}:{id}", "tenant%d:*:*:log",
		"tenant%d:>"
	};
	TrieBench  *bench = make_bench();
	TrieBench  *one = palloc(sizeof(TrieBench));
	int			i;

	for (i = 0; i < ROUTES; i++)
		add_route(bench, psprintf(shapes[i % 10], i / 10));
	*one = *bench;
	add_subject(one, "tenant500:flow:run:4711:x", true);
	report_lookups(one, "10,000 routes, one subject", "< 2000");
	for (i = 0; i < ROUTES; i++)
		add_subject(bench, psprintf("tenant%d:orders:%d:%s", i * 7919 % 1000, i,
									i % 2 ? "created" : "lines:7:x"), true);
	report_lookups(bench, "10,000 routes, 10,000 subjects in turn", "< 2000");
}

/* Routes that differ in one token, behind each kind of token. */
static void
bench_wide(void)
{
	static const char *const shapes[] = {
		"a:b:k%d:>", "a:{x}:k%d:>", "a:*:k%d:>", "{x}:b:k%d:>",
		"*:b:k%d:>", "{x}:{y}:k%d:>", "*:*:k%d:>", "{x}:*:k%d:>",
		"*:{y}:k%d:>", "a:b:k%d:z:>"
	};
	TrieBench  *bench = make_bench();
	int			i;

	for (i = 0; i < ROUTES; i++)
		add_route(bench, psprintf(shapes[i % 10], i));
	for (i = 0; i < 1000; i++)
		add_subject(bench, psprintf("a:b:k%d:z", i * 10 + 6), true);
	report_lookups(bench, "10,000 routes, 9 ways to go, the last one right",
				   "< 2000");
	bench->nsubjects = 0;
	add_subject(bench, "a:b:nothing:z", false);
	report_lookups(bench, "10,000 routes, 9 ways to go, none right", "< 2000");
}

/* A subject with the most tokens that there can be, of 15 bytes each. */
static void
bench_long(void)
{
	TrieBench  *bench = make_bench();
	char		text[NVS_PATTERN_MAX_BYTES];
	int			i;
	int			n = 0;

	for (i = 0; i < NVS_SUBJECT_MAX_TOKENS; i++)
		n += snprintf(text + n, sizeof(text) - n, "%stoken%010d",
					  i > 0 ? ":" : "", i);
	add_route(bench, text);
	add_subject(bench, text, true);
	for (i = 1; i < ROUTES; i++)
		add_route(bench, psprintf("token%010d:other%d", i % 2, i));
	report_lookups(bench, "10,000 routes, subject of 1,023 bytes and 64 tokens",
				   "< 2000");
}

/* Every choice of literal, capture and * on eight levels, and then no match. */
static void
bench_worst(void)
{
	TrieBench  *bench = make_bench();
	int			i;

	for (i = 0; i < 6561; i++)
	{
		static const char *const tokens[] = {"a", "{c%d}", "*"};
		char		text[200] = "";
		int			n = 0;
		int			level;
		int			rest = i;

		for (level = 0; level < 8; level++, rest /= 3)
			n += snprintf(text + n, sizeof(text) - n, "%s:",
						  psprintf(tokens[rest % 3], level));
		snprintf(text + n, sizeof(text) - n, "z");
		add_route(bench, text);
	}
	for (; i < ROUTES; i++)
		add_route(bench, psprintf("b:k%d", i));
	add_subject(bench, "a:a:a:a:a:a:a:a:y", false);
	report_lookups(bench, "10,000 routes made so that 9,800 nodes are met",
				   "-");
}

/* A matcher's arguments. */
typedef struct MatchBench
{
	NvsPattern *pattern;
	const char *glob;
	int			glob_len;
	const char *text;
	int			len;
} MatchBench;

/* Work: one match of a subject pattern. */
static uint64
match_pattern(void *arg, int i)
{
	MatchBench *bench = arg;
	NvsCapture	captures[NVS_SUBJECT_MAX_TOKENS];

	return nvs_pattern_match(bench->pattern, bench->text, bench->len, captures);
}

/* Work: compile a pattern. */
static uint64
compile_pattern(void *arg, int i)
{
	MatchBench *bench = arg;
	NvsPattern *pattern = nvs_pattern_compile(bench->glob, bench->glob_len);
	uint64		n = pattern->ntokens;

	pfree(pattern);
	return n;
}

/* Work: one match of a glob. */
static uint64
match_glob(void *arg, int i)
{
	MatchBench *bench = arg;

	return nvs_glob_match(bench->glob, bench->glob_len,
						  bench->text, bench->len);
}

/* Time a pattern or a glob on a text. */
static void
report_match(const char *label, Work work, const char *pattern,
			 const char *text, int calls, bool expected, const char *required)
{
	MatchBench	bench = {NULL, pattern, strlen(pattern), text, strlen(text)};

	if (work == match_pattern)
		bench.pattern = nvs_pattern_compile(pattern, bench.glob_len);
	if (work != compile_pattern && (work(&bench, 0) != 0) != expected)
	{
		fprintf(stderr, "%s: unexpected answer\n", label);
		exit(1);
	}
	report(label, time_call(work, &bench, calls), "ns", required);
}

/* piece times times, then the tail. */
static char *
repeated(const char *piece, int times, const char *tail)
{
	int			len = strlen(piece);
	char	   *text = palloc(len * times + strlen(tail) + 1);
	int			i;

	for (i = 0; i < times; i++)
		memcpy(text + i * len, piece, len);
	strcpy(text + len * times, tail);
	return text;
}

/* Time the matchers, the globs also with what is made to take them long. */
static void
bench_matchers(void)
{
	char	   *stars = repeated("a*", 511, "b");
	char	   *as = repeated("a", 10000, "");

	report_match("pattern with captures, match", match_pattern,
				 "nvent:flow:{kind}:{run_id...}", "nvent:flow:run:3f2a-77c1:x",
				 1000, true, "-");
	report_match("pattern, no match", match_pattern, "nvent:flow:*:done",
				 "nvent:flow:run:3f2a-77c1", 1000, false, "-");
	report_match("pattern, compile", compile_pattern,
				 "nvent:flow:{kind}:{run_id...}", "", 1000, true, "-");
	report_match("glob, match", match_glob, "lock:*:[0-9]*",
				 "lock:job:4711", 1000, true, "-");
	report_match("glob a*a*...b of 1023 bytes, key of 512 a", match_glob, stars,
				 repeated("a", 512, ""), 10, false, "< 1000000");
	report_match("glob a*a*...b of 1023 bytes, key of 10,000 a", match_glob,
				 stars, as, 10, false, "< 1000000");
	report_match("glob *a...ab of 1024 bytes, key of 10,000 a", match_glob,
				 repeated("*", 1, repeated("a", 1022, "b")), as, 1, false, "-");
	report_match("glob *?...?b of 1024 bytes, key of 2,000 a", match_glob,
				 repeated("*", 1, repeated("?", 1022, "b")),
				 repeated("a", 2000, ""), 1, false, "-");
}

int
main(void)
{
	bench_tenants();
	bench_wide();
	bench_long();
	bench_worst();
	bench_matchers();
	return sink == 42;
}
