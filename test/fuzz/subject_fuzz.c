/*
 * subject_fuzz.c
 *	  libFuzzer harness of subject/subject.c, subject/glob.c and subject/trie.c.
 *
 * The first byte of an input chooses what is tried, and zero bytes part the
 * rest into texts.  Each answer is compared with that of a slow and plain
 * matcher made another way: tokens as strings for the patterns, the best of
 * all patterns for the trie, a table over code points for the globs.  Any
 * difference aborts.
 */
#include "postgres.h"

#include "shim.h"
#include "subject/subject.h"
#include "subject/trie.h"

#define MAX_TEXTS	64
#define MAX_CHARS	NVS_PATTERN_MAX_BYTES

#define REQUIRE(cond) \
	do { \
		if (!(cond)) \
		{ \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond); \
			abort(); \
		} \
	} while (0)

/* A piece of the input, in a chunk of just its size. */
typedef struct Text
{
	char	   *s;
	int			len;
} Text;

/* Tokens of a text, as strings; n is -1 when there are too many. */
typedef struct Tokens
{
	int			n;
	char	   *token[NVS_SUBJECT_MAX_TOKENS];
} Tokens;

int			LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Part a text at each ':'. */
static Tokens
split_naively(Text text)
{
	Tokens		tokens = {0};
	int			start = 0;
	int			i;

	for (i = 0; i <= text.len; i++)
	{
		if (i < text.len && text.s[i] != ':')
			continue;
		if (tokens.n == NVS_SUBJECT_MAX_TOKENS)
		{
			tokens.n = -1;
			break;
		}
		tokens.token[tokens.n++] = pnstrdup(text.s + start, i - start);
		start = i + 1;
	}
	return tokens;
}

/* Is the text a subject? */
static bool
is_subject_naively(Text text)
{
	return text.len > 0 && text.len <= 1024 && split_naively(text).n > 0;
}

/*
 * Kind of a pattern's token, -1 for none; a capture's name goes to name, what
 * a literal stands for to *literal.
 */
static int
kind_naively(const char *t, bool last, char *name, const char **literal)
{
	char		end[5] = "";
	int			len = 0;

	*name = '\0';
	*literal = *t == '\\' ? t + 1 : t;
	if (strcmp(t, "*") == 0)
		return NVS_TOKEN_ONE;
	if (strcmp(t, ">") == 0 || strcmp(t, "**") == 0)
		return last ? NVS_TOKEN_REST : -1;
	if (*t != '{')
		return NVS_TOKEN_LITERAL;
	if (strlen(t) > NVS_CAPTURE_MAX_NAME + 5 ||
		sscanf(t, "{%[a-zA-Z0-9_]%n%4s", name, &len, end) != 2 ||
		(*name >= '0' && *name <= '9') || strlen(name) > NVS_CAPTURE_MAX_NAME ||
		t[len] != end[0] || strlen(t) != len + strlen(end))
		return -1;
	if (strcmp(end, "}") == 0)
		return NVS_TOKEN_CAPTURE;
	return strcmp(end, "...}") == 0 && last ? NVS_TOKEN_CAPTURE_REST : -1;
}

/* A pattern as the plain matcher has it. */
typedef struct NaivePattern
{
	Tokens		tokens;
	int			kind[NVS_SUBJECT_MAX_TOKENS];
	char		name[NVS_SUBJECT_MAX_TOKENS][80];
	const char *literal[NVS_SUBJECT_MAX_TOKENS];
} NaivePattern;

/* Parse a pattern; false if it is none. */
static bool
parse_naively(Text text, NaivePattern *p)
{
	int			shortest = -1;
	bool		wild = false;
	int			i;
	int			j;

	p->tokens = split_naively(text);
	if (text.len < 1 || text.len > 2048 || p->tokens.n < 1)
		return false;
	for (i = 0; i < p->tokens.n; i++)
	{
		p->kind[i] = kind_naively(p->tokens.token[i], i == p->tokens.n - 1,
								  p->name[i], &p->literal[i]);
		if (p->kind[i] < 0)
			return false;
		for (j = 0; j < i; j++)
		{
			if (*p->name[i] != '\0' && strcmp(p->name[i], p->name[j]) == 0)
				return false;
		}
		shortest++;
		if (p->kind[i] == NVS_TOKEN_LITERAL)
			shortest += strlen(p->literal[i]);
		else
			wild = true;
	}
	return shortest <= 1024 && (wild || shortest > 0);
}

/* Do the pattern's tokens from i on match the subject's from i on? */
static bool
match_naively(const NaivePattern *p, const Tokens *s, int i)
{
	if (i == p->tokens.n || i == s->n)
		return i == p->tokens.n && i == s->n;
	if (p->kind[i] == NVS_TOKEN_REST || p->kind[i] == NVS_TOKEN_CAPTURE_REST)
		return true;
	if (p->kind[i] == NVS_TOKEN_LITERAL &&
		strcmp(p->literal[i], s->token[i]) != 0)
		return false;
	return match_naively(p, s, i + 1);
}

/* Require that the captures are what the pattern's tokens say. */
static void
check_captures(const NaivePattern *p, const NvsPattern *pattern, Text text,
			   const NvsCapture *captures)
{
	Tokens		s = split_naively(text);
	int			offset = 0;
	int			n = 0;
	int			i;

	for (i = 0; i < p->tokens.n; i++)
	{
		int			len = strlen(s.token[i]);

		if (p->kind[i] == NVS_TOKEN_CAPTURE_REST)
			len = text.len - offset;
		if (*p->name[i] != '\0')
		{
			if (pattern != NULL)
				REQUIRE(strcmp(nvs_pattern_capture_name(pattern, n),
							   p->name[i]) == 0);
			REQUIRE(captures[n].offset == offset && captures[n].len == len);
			n++;
		}
		offset += len + 1;
	}
	REQUIRE(pattern == NULL || nvs_pattern_capture_count(pattern) == n);
}

/* Call what must raise an error; true if it did. */
static bool
raises(Text text, bool as_pattern)
{
	jmp_buf		here;

	shim_catch = &here;
	if (setjmp(here) == 0)
	{
		if (as_pattern)
			nvs_pattern_compile(text.s, text.len);
		else
			nvs_subject_validate(text.s, text.len);
		shim_catch = NULL;
		return false;
	}
	shim_catch = NULL;
	return true;
}

/* Require that a text that begins with prefix lies below its upper bound. */
static void
check_bounds(const char *prefix, int len, Text text)
{
	char	   *upper = palloc(len);
	int			upper_len = nvs_prefix_upper(prefix, len, upper);
	int			cmp;

	REQUIRE(text.len >= len && memcmp(text.s, prefix, len) == 0);
	REQUIRE(upper_len <= len);
	if (upper_len == 0)
		return;
	cmp = memcmp(text.s, upper, Min(text.len, upper_len));
	REQUIRE(cmp < 0);
	REQUIRE(pg_verify_mbstr(PG_UTF8, upper, upper_len, true) ||
			!pg_verify_mbstr(PG_UTF8, prefix, len, true));
}

/* Require that this is the pattern of a subject, and matches nothing else. */
static void
check_escaped(const char *escaped, Text subject, const Text *texts, int n)
{
	NvsPattern *pattern = nvs_pattern_parse(escaped, strlen(escaped), NULL);
	int			i;

	REQUIRE(pattern != NULL && pattern->is_literal);
	REQUIRE(pattern->len == subject.len &&
			memcmp(pattern->bytes, subject.s, subject.len) == 0);
	for (i = 0; i < n; i++)
		REQUIRE(nvs_pattern_match(pattern, texts[i].s, texts[i].len, NULL) ==
				(texts[i].len == subject.len &&
				 memcmp(texts[i].s, subject.s, subject.len) == 0));
}

/* All texts that are subjects, escaped where needed and wherever possible. */
static void
try_escapes(const Text *texts, int n)
{
	int			i;
	int			j;

	for (i = 0; i < n; i++)
	{
		char	   *escaped;
		char	   *all = palloc(texts[i].len * 2 + 2);
		char	   *to = all;

		if (!is_subject_naively(texts[i]))
			continue;
		escaped = nvs_pattern_of_subject(texts[i].s, texts[i].len);
		REQUIRE(strlen(escaped) <= NVS_PATTERN_PLAIN_BYTES);
		check_escaped(escaped, texts[i], texts, n);
		*to++ = '\\';
		for (j = 0; j < texts[i].len; j++)
		{
			*to++ = texts[i].s[j];
			if (texts[i].s[j] == ':')
				*to++ = '\\';
		}
		*to = '\0';
		check_escaped(all, texts[i], texts, n);
	}
}

/* Require that the pattern without captures matches the same. */
static void
check_plain(const NvsPattern *pattern, const Text *texts, int n)
{
	char	   *text = nvs_pattern_plain(pattern);
	NvsPattern *plain = nvs_pattern_parse(text, strlen(text), NULL);
	int			i;

	REQUIRE(strlen(text) <= NVS_PATTERN_PLAIN_BYTES);
	REQUIRE(plain != NULL && plain->ncaptures == 0);
	REQUIRE(plain->prefix_len == pattern->prefix_len);
	REQUIRE(memcmp(plain->bytes, pattern->bytes, plain->prefix_len) == 0);
	for (i = 0; i < n; i++)
		REQUIRE(nvs_pattern_match(plain, texts[i].s, texts[i].len, NULL) ==
				nvs_pattern_match(pattern, texts[i].s, texts[i].len, NULL));
}

/* Require that the tokens of a subject that matches are said to be possible. */
static void
check_tokens(const NvsPattern *pattern, const Tokens *s)
{
	int			i;

	for (i = 0; i < s->n; i++)
		REQUIRE(nvs_pattern_may_be(pattern, i, s->token[i],
								   strlen(s->token[i])));
	REQUIRE(pattern->takes_rest || !nvs_pattern_may_be(pattern, i, "", 0));
}

/* The first text as a pattern, all the others as subjects. */
static void
try_patterns(const Text *texts, int n)
{
	NaivePattern *p = palloc0(sizeof(NaivePattern));
	bool		valid = parse_naively(texts[0], p);
	NvsSubjectError why;
	NvsPattern *pattern = nvs_pattern_parse(texts[0].s, texts[0].len, &why);
	int			i;

	REQUIRE((pattern != NULL) == valid);
	if (!valid)
		REQUIRE(raises(texts[0], true));
	else
		check_plain(pattern, texts, n);
	try_escapes(texts, n);
	for (i = 0; i < n; i++)
	{
		bool		is_subject = is_subject_naively(texts[i]);
		bool		literal;
		NvsCapture	captures[NVS_SUBJECT_MAX_TOKENS];
		Tokens		s;

		REQUIRE(nvs_subject_check(texts[i].s, texts[i].len, &why) ==
				is_subject);
		REQUIRE(raises(texts[i], false) == !is_subject);
		if (!valid)
			continue;
		s = split_naively(texts[i]);
		if (!nvs_pattern_match(pattern, texts[i].s, texts[i].len, captures))
		{
			REQUIRE(!is_subject || !match_naively(p, &s, 0));
			continue;
		}
		REQUIRE(is_subject && match_naively(p, &s, 0));
		check_captures(p, pattern, texts[i], captures);
		check_tokens(pattern, &s);
		check_bounds(pattern->bytes, nvs_pattern_prefix(pattern, &literal),
					 texts[i]);
		REQUIRE(!literal || pattern->prefix_len == texts[i].len);
	}
}

/* Is p more specific than q, given that both match one subject? */
static bool
more_specific(const NaivePattern *p, const NaivePattern *q)
{
	int			i;

	for (i = 0; i < p->tokens.n && i < q->tokens.n; i++)
	{
		if (p->kind[i] != q->kind[i])
			return p->kind[i] < q->kind[i];
	}
	return false;
}

/* Are two patterns one but for the names in them? */
static bool
same_shape(const NaivePattern *p, const NaivePattern *q)
{
	int			i;

	if (p->tokens.n != q->tokens.n)
		return false;
	for (i = 0; i < p->tokens.n; i++)
	{
		if (p->kind[i] != q->kind[i] ||
			(p->kind[i] == NVS_TOKEN_LITERAL &&
			 strcmp(p->literal[i], q->literal[i]) != 0))
			return false;
	}
	return true;
}

/* Add to the trie; false if that raises an error. */
static bool
add_pattern(NvsTrie *trie, const NvsPattern *pattern, void *payload)
{
	jmp_buf		here;

	shim_catch = &here;
	if (setjmp(here) == 0)
	{
		nvs_trie_add(trie, pattern, payload);
		shim_catch = NULL;
		return true;
	}
	shim_catch = NULL;
	return false;
}

/* The patterns of a trie that match a subject, so far. */
typedef struct TrieHits
{
	const Tokens *subject;
	int			n;
	NaivePattern *last;
} TrieHits;

/* For nvs_trie_each(): a hit matches, and is less specific than the last. */
static void
count_hit(void *payload, void *arg)
{
	TrieHits   *hits = arg;

	REQUIRE(match_naively(payload, hits->subject, 0));
	REQUIRE(hits->last == NULL || more_specific(hits->last, payload));
	hits->last = payload;
	hits->n++;
}

/* Texts as patterns of a trie, and then as subjects to look up in it. */
static void
try_trie(const Text *texts, int n)
{
	NvsTrie    *trie = nvs_trie_create(NULL);
	NaivePattern *patterns = palloc0(n * sizeof(NaivePattern));
	char	  **shapes = palloc(n * sizeof(char *));
	int			npatterns = 0;
	int			i;
	int			j;

	for (i = 0; i < n; i++)
	{
		NaivePattern *p = &patterns[npatterns];
		NvsPattern *pattern;
		bool		twice = false;

		if (!parse_naively(texts[i], p))
			continue;
		pattern = nvs_pattern_parse(texts[i].s, texts[i].len, NULL);
		REQUIRE(pattern != NULL);
		shapes[npatterns] = nvs_pattern_shape(pattern);
		for (j = 0; j < npatterns; j++)
		{
			bool		same = same_shape(p, &patterns[j]);

			REQUIRE((strcmp(shapes[npatterns], shapes[j]) == 0) == same);
			twice = twice || same;
		}
		REQUIRE(add_pattern(trie, pattern, p) == !twice);
		if (!twice)
			npatterns++;
	}
	for (i = 0; i < n; i++)
	{
		Tokens		s = split_naively(texts[i]);
		NaivePattern *best = NULL;
		NvsCapture	captures[NVS_SUBJECT_MAX_TOKENS];
		TrieHits	hits = {&s, 0, NULL};
		int			ncaptures = 0;
		int			nmatches = 0;

		for (j = 0; j < npatterns && is_subject_naively(texts[i]); j++)
		{
			if (!match_naively(&patterns[j], &s, 0))
				continue;
			nmatches++;
			if (best == NULL || more_specific(&patterns[j], best))
				best = &patterns[j];
		}
		nvs_trie_each(trie, texts[i].s, texts[i].len, count_hit, &hits);
		REQUIRE(hits.n == nmatches);
		REQUIRE(nvs_trie_lookup(trie, texts[i].s, texts[i].len, captures,
								&ncaptures) == best);
		if (best != NULL)
			check_captures(best, NULL, texts[i], captures);
	}
}

/* Code points of UTF-8 that is well-formed; returns their number. */
static int
decode(Text text, uint32 *chars)
{
	int			n = 0;
	int			i = 0;

	while (i < text.len)
	{
		int			len = pg_encoding_mblen(PG_UTF8, text.s + i);
		uint32		c = (unsigned char) text.s[i];

		if (len > 1)
			c &= 0x7f >> len;
		while (--len > 0)
			c = c << 6 | ((unsigned char) text.s[++i] & 0x3f);
		i++;
		chars[n++] = c;
	}
	return n;
}

/*
 * Parse the class behind the '[' at g[i] and look for c in it.  Returns where
 * it ends, or -1 if it does not or is empty.
 */
static int
class_naively(const uint32 *g, int n, int i, uint32 c, bool *found)
{
	bool		negated = false;
	bool		hit = false;

	i++;
	if (i < n && g[i] == ']')
		return -1;
	if (i < n && g[i] == '^')
	{
		negated = true;
		i++;
	}
	for (;;)
	{
		if (i >= n)
			return -1;
		if (g[i] == ']')
			break;
		if (g[i] == '\\' && i + 1 < n)
		{
			hit = hit || g[i + 1] == c;
			i += 2;
		}
		else if (i + 2 < n && g[i + 1] == '-')
		{
			hit = hit || (Min(g[i], g[i + 2]) <= c && c <= Max(g[i], g[i + 2]));
			i += 3;
		}
		else
		{
			hit = hit || g[i] == c;
			i++;
		}
	}
	*found = hit != negated;
	return i + 1;
}

/*
 * Match by a table: can[j] says whether what is read of the glob matches the
 * first j characters.  -1 if it is no glob.
 */
static int
glob_naively(const uint32 *g, int n, const uint32 *s, int m)
{
	bool	   *can = palloc0(m + 1);
	int			i = 0;
	int			j;

	can[0] = true;
	while (i < n)
	{
		int			next = i + 1;

		if (g[i] == '*')
		{
			for (j = 1; j <= m; j++)
				can[j] = can[j] || can[j - 1];
			i = next;
			continue;
		}
		for (j = m; j >= 0; j--)
		{
			bool		fits = false;
			uint32		c = j > 0 ? s[j - 1] : 0;

			if (g[i] == '?')
				fits = true;
			else if (g[i] == '[')
				next = class_naively(g, n, i, c, &fits);
			else if (g[i] == '\\' && i + 1 < n)
			{
				fits = g[i + 1] == c;
				next = i + 2;
			}
			else
				fits = g[i] == c;
			if (next < 0)
				return -1;
			can[j] = j > 0 && fits && can[j - 1];
		}
		i = next;
	}
	return can[m];
}

/* The first text as a glob, all the others as keys. */
static void
try_globs(const Text *texts, int n)
{
	Text		glob = texts[0];
	bool		comparable = pg_verify_mbstr(PG_UTF8, glob.s, glob.len, true);
	const char *detail;
	bool		valid = nvs_glob_check(glob.s, glob.len, &detail);
	uint32		g[MAX_CHARS];
	char	   *prefix = palloc(glob.len);
	bool		literal;
	int			prefix_len = nvs_glob_prefix(glob.s, glob.len, prefix,
											 &literal);
	int			nglob = 0;
	int			i;

	comparable = comparable && glob.len <= NVS_PATTERN_MAX_BYTES;
	REQUIRE(!valid || glob.len <= NVS_PATTERN_MAX_BYTES);
	if (comparable)
	{
		nglob = decode(glob, g);
		REQUIRE((glob_naively(g, nglob, g, 0) >= 0) == valid);
	}
	for (i = 0; i < n; i++)
	{
		bool		matches = nvs_glob_match(glob.s, glob.len,
											 texts[i].s, texts[i].len);
		uint32	   *s;

		if (matches && valid)
		{
			check_bounds(prefix, prefix_len, texts[i]);
			REQUIRE(!literal || prefix_len == texts[i].len);
		}
		if (!comparable || !valid ||
			!pg_verify_mbstr(PG_UTF8, texts[i].s, texts[i].len, true))
			continue;
		s = palloc((texts[i].len + 1) * sizeof(uint32));
		REQUIRE(glob_naively(g, nglob, s, decode(texts[i], s)) == matches);
	}
}

/* One input. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	Text		texts[MAX_TEXTS];
	int			n = 0;
	size_t		start = 1;
	size_t		i;

	for (i = 1; i <= size && n < MAX_TEXTS; i++)
	{
		if (i < size && data[i] != 0)
			continue;
		texts[n].len = i - start;
		texts[n].s = palloc(i - start);
		memcpy(texts[n].s, data + start, i - start);
		n++;
		start = i + 1;
	}
	if (n > 0)
	{
		if (data[0] == 'p')
			try_patterns(texts, n);
		else if (data[0] == 't')
			try_trie(texts, n);
		else
			try_globs(texts, n);
	}
	shim_reset();
	return 0;
}
