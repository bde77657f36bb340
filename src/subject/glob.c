/*
 * subject/glob.c
 *	  Matches keys against Redis globs, and bounds what a prefix matches.
 *
 * '*' is any run of characters, ':' among them, '?' one character of the
 * database's encoding, [abc], [a-c] and [^x] a class of characters, '\' takes
 * the next character as it is.  As in Redis: '!' does not negate, [^] is any
 * character, a range may be written backwards, the character behind "x-" ends
 * the range whatever it is, and a '\' at the very end is a backslash.  Unlike
 * Redis, a class that is not closed or is empty is an error rather than a
 * guess.  The matcher remembers one '*' to come back to, which is enough, and
 * so takes no more than length times length steps and no recursion.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "miscadmin.h"

#include "errors.h"
#include "subject/subject.h"

/* Bytes of a glob that is not valid that an error message shows. */
#define GLOB_SHOWN_BYTES	128

/* Bytes of the character at s[pos], never beyond len. */
static inline int
glob_char_len(const char *s, int pos, int len, int encoding)
{
	int			n;

	if (!IS_HIGHBIT_SET(s[pos]))
		return 1;
	n = pg_encoding_mblen(encoding, s + pos);
	return Max(1, Min(n, len - pos));
}

/* Order two characters by their bytes; in UTF-8 that is their code points. */
static int
glob_compare_chars(const char *a, int alen, const char *b, int blen)
{
	int			cmp = memcmp(a, b, Min(alen, blen));

	return cmp != 0 ? cmp : alen - blen;
}

/*
 * Is the character c in the class whose first byte behind '[' is pat[pos]?
 * *end is set behind the class's ']', or to plen + 1 when it has none.
 */
static bool
glob_match_class(const char *pat, int pos, int plen, const char *c, int clen,
				 int encoding, int *end)
{
	bool		negated = false;
	bool		found = false;

	/* Behind a caret it is all other characters. */
	if (pos < plen && pat[pos] == '^')
	{
		negated = true;
		pos++;
	}

	/* Each round takes one character, or the three of a range. */
	while (pos < plen && pat[pos] != ']')
	{
		const char *low;
		const char *high;
		int			low_len;
		int			high_len;
		bool		escaped = (pat[pos] == '\\' && pos + 1 < plen);

		/* From this character, after a backslash any, to that. */
		if (escaped)
			pos++;
		low = high = pat + pos;
		low_len = high_len = glob_char_len(pat, pos, plen, encoding);
		pos += low_len;
		if (!escaped && pos + 1 < plen && pat[pos] == '-')
		{
			high = pat + pos + 1;
			high_len = glob_char_len(pat, pos + 1, plen, encoding);
			pos += 1 + high_len;
		}

		/* Is c between them, whichever comes first? */
		if ((glob_compare_chars(low, low_len, c, clen) <= 0 &&
			 glob_compare_chars(c, clen, high, high_len) <= 0) ||
			(glob_compare_chars(high, high_len, c, clen) <= 0 &&
			 glob_compare_chars(c, clen, low, low_len) <= 0))
			found = true;
	}

	*end = pos + 1;
	return found != negated;
}

/* Is this a glob?  If not, *detail is a full sentence that says why. */
bool
nvs_glob_check(const char *pat, int plen, const char **detail)
{
	int			encoding = GetDatabaseEncoding();
	int			pos = 0;

	/* The length. */
	if (plen > NVS_PATTERN_MAX_BYTES)
	{
		*detail = psprintf("It has %d bytes, and a glob has at most %d.",
						   plen, NVS_PATTERN_MAX_BYTES);
		return false;
	}

	/* The classes, of which none may be empty or open. */
	while (pos < plen)
	{
		int			start = pos++;

		if (pat[start] == '\\' && pos < plen)
			pos++;
		if (pat[start] != '[')
			continue;
		if (pos < plen && pat[pos] == ']')
		{
			*detail = psprintf("The class at byte %d is empty "
							   "and matches nothing.", start + 1);
			return false;
		}
		(void) glob_match_class(pat, pos, plen, "", 0, encoding, &pos);
		if (pos > plen)
		{
			*detail = psprintf("The class at byte %d has no \"]\" at its end.",
							   start + 1);
			return false;
		}
	}
	return true;
}

/* Raise an error that says what is wrong unless this is a glob. */
void
nvs_glob_validate(const char *pat, int plen)
{
	const char *detail;
	int			shown = plen;

	if (nvs_glob_check(pat, plen, &detail))
		return;
	if (shown > GLOB_SHOWN_BYTES)
		shown = pg_mbcliplen(pat, plen, GLOB_SHOWN_BYTES);
	ereport(ERROR,
			(errcode(ERRCODE_NVS_INVALID_PATTERN),
			 errmsg("invalid key pattern \"%.*s%s\"",
					shown, pat, shown < plen ? "..." : ""),
			 errdetail_internal("%s", detail),
			 errhint("A \"\\\" before \"*\", \"?\", \"[\", \"]\" or \"\\\" "
					 "takes away its meaning.")));
}

/*
 * Does what pat[*pos] begins, '?', a class or a literal byte, match what is at
 * s[*at], a character or a byte?  If so, both positions move behind it.
 */
static inline bool
glob_match_item(const char *pat, int *pos, int plen,
				const char *s, int *at, int slen, int encoding)
{
	int			p = *pos;
	int			end;
	int			clen;

	/*
	 * Wildcards take a character, literals a byte: a pattern has all bytes of
	 * a character.
	 */
	switch (pat[p])
	{
		case '?':
			*at += glob_char_len(s, *at, slen, encoding);
			*pos = p + 1;
			return true;
		case '[':
			clen = glob_char_len(s, *at, slen, encoding);
			if (!glob_match_class(pat, p + 1, plen, s + *at, clen, encoding,
								  &end))
				return false;
			*at += clen;
			*pos = Min(end, plen);
			return true;
		case '\\':
			if (p + 1 < plen)
				p++;
			/* FALLTHROUGH */
		default:
			if (pat[p] != s[*at])
				return false;
			*at += 1;
			*pos = p + 1;
			return true;
	}
}

/*
 * Where in s to try the rest of a glob, pat[pos] on, which follows a '*' and
 * does not match at s[at]: one character on, or straight at the next byte that
 * is the ASCII literal which the rest begins with.
 */
static int
glob_next_start(const char *pat, int pos, int plen,
				const char *s, int at, int slen, int encoding)
{
	const char *hit;

	at += glob_char_len(s, at, slen, encoding);
	/* An ASCII byte is never part of another character. */
	if (pos >= plen || at >= slen || IS_HIGHBIT_SET(pat[pos]) ||
		pat[pos] == '?' || pat[pos] == '[' || pat[pos] == '\\')
		return at;
	hit = memchr(s + at, pat[pos], slen - at);
	return hit != NULL ? (int) (hit - s) : slen;
}

/*
 * Does the glob match all of s?  One that is not valid does no harm: a class
 * that is not closed reaches to the end.
 */
bool
nvs_glob_match(const char *pat, int plen, const char *s, int slen)
{
	int			encoding = GetDatabaseEncoding();
	int			pos = 0;
	int			at = 0;
	int			star_pos = -1;	/* behind the last '*', once there was one */
	int			star_at = 0;	/* where what follows it is being tried */

	for (;;)
	{
		/* A '*' takes nothing at first. */
		if (pos < plen && pat[pos] == '*')
		{
			star_pos = ++pos;
			star_at = at;
			if (pos == plen)
				return true;
			continue;
		}

		/* Out of text: a '*' that took more would run out as well. */
		if (at >= slen)
			return pos >= plen;

		if (pos < plen &&
			glob_match_item(pat, &pos, plen, s, &at, slen, encoding))
			continue;

		/* Have the last '*' take more, and try again what follows it. */
		if (star_pos < 0)
			return false;
		CHECK_FOR_INTERRUPTS();
		star_at = glob_next_start(pat, star_pos, plen, s, star_at, slen,
								  encoding);
		pos = star_pos;
		at = star_at;
	}
}

/*
 * Write the bytes that every match of a glob begins with to prefix, which has
 * room for plen bytes, and return their number.  *is_literal says whether the
 * glob matches just these bytes.
 */
int
nvs_glob_prefix(const char *pat, int plen, char *prefix, bool *is_literal)
{
	int			pos;
	int			n = 0;

	for (pos = 0; pos < plen; pos++)
	{
		if (pat[pos] == '*' || pat[pos] == '?' || pat[pos] == '[')
			break;
		if (pat[pos] == '\\' && pos + 1 < plen)
			pos++;
		prefix[n++] = pat[pos];
	}
	*is_literal = (pos >= plen);
	return n;
}

/*
 * Replace the character at c by one that sorts behind it and has as many
 * bytes; false, with c spoilt, when there is none.
 */
static bool
prefix_raise_char(char *c, int len, int encoding)
{
	int			i;

	for (i = len - 1; i >= 0; i--)
	{
		if ((unsigned char) c[i] == 0xFF)
			continue;
		c[i] = (char) ((unsigned char) c[i] + 1);
		if (pg_verify_mbstr(encoding, c, len, true))
			return true;
		/* As the byte before it goes up, this one restarts at its lowest. */
		c[i] = (char) 0x80;
	}
	return false;
}

/*
 * Write to upper, which has room for len bytes, a text that sorts by bytes
 * behind everything that begins with prefix, and return its length; 0 when
 * there is none.  It is the prefix with its last character replaced by a later
 * one, or without that character, and then the one before is replaced, when
 * there is no later one: a bound that may be loose but is never too tight.
 */
int
nvs_prefix_upper(const char *prefix, int len, char *upper)
{
	int			encoding = GetDatabaseEncoding();

	memcpy(upper, prefix, len);
	while (len > 0)
	{
		int			last = pg_mbcliplen(prefix, len, len - 1);

		if (prefix_raise_char(upper + last, len - last, encoding))
			return len;
		len = last;
	}
	return 0;
}
