/*
 * schedule/parse.c
 *	  Cron expressions, from text to bits.
 *
 * An expression has five fields, minute, hour, day of the month, month and day
 * of the week, or six, with the second before them; or it is a name for one,
 * as "@daily".  A field is a list of items with "," between them:
 *
 *		*		all values
 *		a		one value
 *		a-b		from a to b
 *
 * and behind the first and the last of these, or a value that all from there on
 * are meant by, "/n" takes only each n-th.
 *
 * Of days of the month, L is the last day, L-n n days before it, aW the weekday
 * (Monday to Friday) of the month that is nearest to day a, LW the month's last
 * weekday.  Of days of the week, a#n is the n-th a of the month, and aL its
 * last a.  Months and days of the week have names of three letters, in any
 * case, and 7 is Sunday as 0 is.  "?" is "*" where it is a day.
 *
 * Nothing here knows the catalog or the clock.
 */
#include "postgres.h"

#include "port/pg_bitutils.h"

#include "compat.h"
#include "schedule/cron.h"

#define BIT(n)		(UINT64CONST(1) << (n))

/* A field, and what may be in it. */
typedef struct CronField
{
	const char *name;
	int			min;
	int			max;
	int			highest;		/* max, and 7 where that is Sunday */
	const char *names;			/* names of three letters, or NULL */
	size_t		bits;			/* offset of its bits in NvsCron */
} CronField;

static const CronField cron_fields[] = {
	{"second", 0, 59, 59, NULL, offsetof(NvsCron, seconds)},
	{"minute", 0, 59, 59, NULL, offsetof(NvsCron, minutes)},
	{"hour", 0, 23, 23, NULL, offsetof(NvsCron, hours)},
	{"day of month", 1, 31, 31, NULL, offsetof(NvsCron, days)},
	{"month", 1, 12, 12, "janfebmaraprmayjunjulaugsepoctnovdec",
	offsetof(NvsCron, months)},
	{"day of week", 0, 6, 7, "sunmontuewedthufrisat",
	offsetof(NvsCron, weekdays)}
};

#define CRON_FIELDS		lengthof(cron_fields)
#define DAY_FIELD		(&cron_fields[3])
#define WEEKDAY_FIELD	(&cron_fields[5])

/* Names of whole expressions. */
static const struct
{
	const char *name;
	const char *expression;
}			cron_names[] = {
	{"@yearly", "0 0 1 1 *"},
	{"@annually", "0 0 1 1 *"},
	{"@monthly", "0 0 1 * *"},
	{"@weekly", "0 0 * * 0"},
	{"@daily", "0 0 * * *"},
	{"@midnight", "0 0 * * *"},
	{"@hourly", "0 * * * *"}
};

/* Where we are in an expression. */
typedef struct CronParser
{
	const char *expression;		/* all of it, for messages */
	int			length;
	const CronField *field;
	const char *text;			/* the field's text */
	const char *pos;			/* what is not read yet */
	const char *end;			/* the field's end */
	NvsCron    *cron;
} CronParser;

static int	cron_split(const char *s, int len, const char **start,
					   int *length);
static void cron_find_name(const char **expression, int *len);
static void cron_parse_field(CronParser *p);
static void cron_parse_item(CronParser *p);
static void cron_parse_values(CronParser *p);
static void cron_parse_from_end(CronParser *p);
static bool cron_parse_suffix(CronParser *p, int value);
static void cron_parse_range(CronParser *p, int first);
static int	cron_parse_step(CronParser *p);
static int	cron_parse_value(CronParser *p);
static int	cron_parse_number(CronParser *p, int min, int max,
							  const char *what);
static int	cron_parse_letters(CronParser *p);
static bool cron_eat(CronParser *p, char c);
static void cron_add(CronParser *p, int first, int last, int step);
static void cron_check_occurs(const CronParser *p);
pg_noreturn static void cron_refuse(const CronParser *p, const char *reason);
pg_noreturn static void cron_refuse_whole(const char *expression, int len,
										  const char *detail,
										  const char *hint);

/* Is this one of the characters between fields? */
static inline bool
cron_is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/*
 * Compile an expression.  Raises 22023 for text that is none, and for one that
 * names days which no month has.
 */
void
nvs_cron_parse(const char *expression, int len, NvsCron *cron)
{
	CronParser	p = {expression, len};
	const char *start[CRON_FIELDS];
	int			length[CRON_FIELDS];
	int			nfields;
	int			i;

	if (len > NVS_CRON_MAX_BYTES)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("cron expression is too long"),
				 errdetail("It has %d bytes; at most %d are allowed.", len,
						   NVS_CRON_MAX_BYTES)));

	/* A name stands for five fields. */
	cron_find_name(&expression, &len);
	nfields = cron_split(expression, len, start, length);
	if (nfields != CRON_FIELDS && nfields != CRON_FIELDS - 1)
		cron_refuse_whole(p.expression, p.length,
						  psprintf("It has %d fields.", nfields),
						  "Write five fields, minute, hour, day of month, month and day of week, or six with the second before them.");

	/* Five fields begin with the minute: it is due when that begins. */
	memset(cron, 0, sizeof(NvsCron));
	p.cron = cron;
	if (nfields < CRON_FIELDS)
		cron->seconds = BIT(0);
	for (i = 0; i < nfields; i++)
	{
		p.field = &cron_fields[CRON_FIELDS - nfields + i];
		p.text = p.pos = start[i];
		p.end = start[i] + length[i];
		cron_parse_field(&p);
	}

	/* Who is never due would be looked for through 400 years. */
	cron_check_occurs(&p);
}

/* Replace the name of an expression by what it stands for. */
static void
cron_find_name(const char **expression, int *len)
{
	const char *start[CRON_FIELDS];
	int			length[CRON_FIELDS];
	int			i;

	if (cron_split(*expression, *len, start, length) != 1 || *start[0] != '@')
		return;
	for (i = 0; i < lengthof(cron_names); i++)
	{
		if (strlen(cron_names[i].name) != length[0] ||
			pg_strncasecmp(cron_names[i].name, start[0], length[0]) != 0)
			continue;
		*expression = cron_names[i].expression;
		*len = strlen(*expression);
		return;
	}
	cron_refuse_whole(*expression, *len,
					  psprintf("There is no name \"%.*s\".", length[0],
							   start[0]),
					  "Names are @hourly, @daily, @midnight, @weekly, @monthly, @yearly and @annually.");
}

/*
 * Find the fields: where they begin and how long they are, of the first six.
 * Returns how many there are.
 */
static int
cron_split(const char *s, int len, const char **start, int *length)
{
	int			n = 0;
	int			i = 0;

	for (;;)
	{
		int			first;

		while (i < len && cron_is_blank(s[i]))
			i++;
		if (i == len)
			return n;
		first = i;
		while (i < len && !cron_is_blank(s[i]))
			i++;
		if (n < CRON_FIELDS)
		{
			start[n] = s + first;
			length[n] = i - first;
		}
		n++;
	}
}

/* Read a field: its items, into the bits of cron. */
static void
cron_parse_field(CronParser *p)
{
	bool		is_day = p->field == DAY_FIELD || p->field == WEEKDAY_FIELD;

	/* Two fields say the day; if one is open, both have to match. */
	if (is_day && (*p->pos == '*' || *p->pos == '?'))
		p->cron->both = true;
	if (is_day && cron_eat(p, '?'))
		cron_add(p, p->field->min, p->field->max, 1);
	else
	{
		do
			cron_parse_item(p);
		while (cron_eat(p, ','));
	}
	if (p->pos < p->end)
		cron_refuse(p, psprintf("it is not understood from \"%.*s\" on",
								(int) (p->end - p->pos), p->pos));
}

/* Read an item of a field. */
static void
cron_parse_item(CronParser *p)
{
	if (cron_eat(p, '*'))
		cron_add(p, p->field->min, p->field->max, cron_parse_step(p));
	else if (p->field == DAY_FIELD && cron_eat(p, 'L'))
		cron_parse_from_end(p);
	else
		cron_parse_values(p);
}

/* Read an item that begins with a value. */
static void
cron_parse_values(CronParser *p)
{
	int			value = cron_parse_value(p);

	if (!cron_parse_suffix(p, value))
		cron_parse_range(p, value);
}

/* Read what is behind the L of a day of the month. */
static void
cron_parse_from_end(CronParser *p)
{
	if (cron_eat(p, 'W'))
		p->cron->near_end = true;
	else if (cron_eat(p, '-'))
		p->cron->days_before_end |=
			BIT(cron_parse_number(p, 0, 30, "days before the last one"));
	else
		p->cron->days_before_end |= BIT(0);
}

/* Read what makes a day of one value another day, if there is anything. */
static bool
cron_parse_suffix(CronParser *p, int value)
{
	if (p->field == DAY_FIELD && cron_eat(p, 'W'))
		p->cron->near_days |= BIT(value);
	else if (p->field == WEEKDAY_FIELD && cron_eat(p, 'L'))
		p->cron->nth |= NVS_CRON_NTH(NVS_CRON_LAST_WEEK, value % 7);
	else if (p->field == WEEKDAY_FIELD && cron_eat(p, '#'))
		p->cron->nth |= NVS_CRON_NTH(cron_parse_number(p, 1, 5, "a week"),
									 value % 7);
	else
		return false;
	return true;
}

/* Read the rest of a value, a range or a value with a step. */
static void
cron_parse_range(CronParser *p, int first)
{
	int			last = first;

	if (cron_eat(p, '-'))
	{
		last = cron_parse_value(p);
		/* Sunday ends a week as well as it begins one. */
		if (p->field == WEEKDAY_FIELD && last == 0 && first > 0)
			last = 7;
		if (last < first)
			cron_refuse(p, "a range ends before it begins");
	}
	else if (p->pos < p->end && *p->pos == '/')
		last = Max(p->field->max, first);
	cron_add(p, first, last, cron_parse_step(p));
}

/* Read a step, which is 1 where there is none. */
static int
cron_parse_step(CronParser *p)
{
	if (!cron_eat(p, '/'))
		return 1;
	return cron_parse_number(p, 1, p->field->max - p->field->min + 1,
							 "a step");
}

/* Read a value of the field, a number or a name. */
static int
cron_parse_value(CronParser *p)
{
	int			value = cron_parse_letters(p);

	if (value >= 0)
		return value;
	return cron_parse_number(p, p->field->min, p->field->highest, "a value");
}

/* Read a number of these bounds; what says what it is, for messages. */
static int
cron_parse_number(CronParser *p, int min, int max, const char *what)
{
	const char *first = p->pos;
	int			number = 0;

	for (; p->pos < p->end && *p->pos >= '0' && *p->pos <= '9'; p->pos++)
		number = Min(number * 10 + *p->pos - '0', 1000);
	if (p->pos == first)
		cron_refuse(p, psprintf("%s is missing%s", what, first == p->end ? "" :
								psprintf(" at \"%.*s\"",
										 (int) (p->end - first), first)));
	if (number < min || number > max)
		cron_refuse(p, psprintf("%s must be from %d to %d, not %.*s", what, min,
								max, (int) (p->pos - first), first));
	return number;
}

/* Read the name of a month or of a day of the week; -1 if there is none. */
static int
cron_parse_letters(CronParser *p)
{
	const char *name = p->field->names;
	int			i;

	if (name == NULL || p->end - p->pos < 3)
		return -1;
	for (i = p->field->min; *name != '\0'; i++, name += 3)
	{
		if (pg_strncasecmp(name, p->pos, 3) != 0)
			continue;
		p->pos += 3;
		return i;
	}
	return -1;
}

/* Read a character, a letter in any case, if it is the next one. */
static bool
cron_eat(CronParser *p, char c)
{
	if (p->pos == p->end || pg_ascii_toupper((unsigned char) *p->pos) != c)
		return false;
	p->pos++;
	return true;
}

/* Have each step-th value from first to last match; 7 is Sunday. */
static void
cron_add(CronParser *p, int first, int last, int step)
{
	uint64	   *bits = (uint64 *) ((char *) p->cron + p->field->bits);
	int			i;

	for (i = first; i <= last; i += step)
		*bits |= BIT(i > p->field->max ? p->field->min : i);
}

/*
 * Refuse an expression of which no day ever comes: what it has are days of the
 * month alone, and the months that it has are all too short for them.
 */
static void
cron_check_occurs(const CronParser *p)
{
	const NvsCron *cron = p->cron;
	int			longest = 31;
	int			first;

	if ((cron->months & ~(BIT(2) | BIT(4) | BIT(6) | BIT(9) | BIT(11))) == 0)
		longest = (cron->months & ~BIT(2)) == 0 ? 29 : 30;
	if (cron->near_end || (!cron->both && (cron->weekdays | cron->nth) != 0))
		return;
	if (cron->days_before_end != 0 &&
		pg_rightmost_one_pos64(cron->days_before_end) < longest)
		return;
	if ((cron->days | cron->near_days) != 0)
	{
		first = pg_rightmost_one_pos64(cron->days | cron->near_days);
		if (first <= longest)
			return;
	}
	cron_refuse_whole(p->expression, p->length,
					  "None of its months has any of its days.", NULL);
}

/* Report what is wrong with a field. */
static void
cron_refuse(const CronParser *p, const char *reason)
{
	cron_refuse_whole(p->expression, p->length,
					  psprintf("Field \"%s\" is \"%.*s\": %s.",
							   p->field->name, (int) (p->end - p->text),
							   p->text, reason), NULL);
}

/* Report what is wrong with an expression. */
static void
cron_refuse_whole(const char *expression, int len, const char *detail,
				  const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid cron expression \"%.*s\"", len, expression),
			 errdetail_internal("%s", detail),
			 hint == NULL ? 0 : errhint("%s", hint)));
}
