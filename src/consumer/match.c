/*
 * consumer/match.c
 *	  Matches the events of a scan with the patterns of consumers.
 *
 * Events are read from each table of the store by position; only the columns
 * that make their subjects, and of a plain table without a statement.  Of each
 * subject the last event counts.  The
 * patterns that can match it are found by the literal text that they begin
 * with, and then compared as a whole.
 *
 * Everything here runs under the active snapshot, and what it makes is in the
 * memory context of the caller.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "base/arg.h"
#include "base/text.h"
#include "consumer/match.h"
#include "route/route.h"
#include "stream/event.h"
#include "stream/state.h"
#include "stream/walk.h"

/* An event that was read: its position and its subject. */
typedef struct MatchEventRef
{
	int64		position;
	NvsText		subject;
} MatchEventRef;

/* A subject and the last of the events that it has in this scan. */
typedef struct MatchSubject
{
	NvsText		subject;		/* hash key */
	int64		last;
} MatchSubject;

/* Consumers whose patterns begin with the same literal text. */
typedef struct MatchPrefix
{
	NvsText		prefix;			/* hash key */
	List	   *candidates;		/* MatchCandidate */
} MatchPrefix;

/* A consumer whose pattern may match a subject of this scan. */
typedef struct MatchCandidate
{
	char	   *name;
	const NvsPattern *pattern;
	int64		mark;			/* what it is at, or will be */
} MatchCandidate;

/* A scan of events, and what is known of them. */
typedef struct MatchScan
{
	MemoryContext cxt;
	int64		from;			/* exclusive */
	int64		upto;			/* inclusive */
	int			limit;			/* events of one relation */
	const NvsTarget *target;	/* the relation that is being read ... */
	int64		position;		/* ... and its last position that was */
	StringInfoData buf;			/* of the subject of an event */
	MatchEventRef *events;
	int			nevents;
	int			size;
	HTAB	   *subjects;		/* MatchSubject */
	HTAB	   *prefixes;		/* MatchPrefix */
	HTAB	   *markings;		/* NvsMarking */
} MatchScan;

static HTAB *match_hash_create(const char *name, Size entrysize);
static void match_read_relation(MatchScan *scan, NvsTarget *target);
static bool match_walk_relation(MatchScan *scan, NvsTarget *target,
								uint64 *n);
static void match_build_read(StringInfo sql, const void *arg);
static void match_read_event(TupleTableSlot *slot, void *arg);
static void match_add_event(MatchScan *scan);
static bool match_whole_subject(const NvsTarget *target);
static bool match_make_subject(const NvsTarget *target, const Datum *values,
							   const bool *nulls, StringInfo subject);
static void match_append_datum(StringInfo buf, Datum value);
static void match_group_subjects(MatchScan *scan);
static void match_add_prefixes(MatchScan *scan, const NvsText *subject);
static void match_find_candidates(MatchScan *scan, NvsConsumers *consumers);
static void match_add_candidate(MatchScan *scan, HeapTuple row,
								TupleDesc desc);
static void match_subject(MatchScan *scan, const MatchSubject *subject);
static void match_prefix(MatchScan *scan, const MatchSubject *subject,
						 int len);

/* Hash of the text that a key points to. */
static uint32
match_text_hash(const void *key, Size keysize pg_attribute_unused())
{
	const NvsText *key_text = key;

	return hash_bytes((const unsigned char *) key_text->data, key_text->len);
}

/* 0 when two keys point to equal texts. */
static int
match_text_compare(const void *a, const void *b,
				   Size keysize pg_attribute_unused())
{
	const NvsText *x = a;
	const NvsText *y = b;

	return x->len == y->len ? memcmp(x->data, y->data, x->len) : 1;
}

/* Make a hash table of entries that begin with a NvsText. */
static HTAB *
match_hash_create(const char *name, Size entrysize)
{
	HASHCTL		ctl;

	memset(&ctl, 0, sizeof(ctl));
	ctl.keysize = sizeof(NvsText);
	ctl.entrysize = entrysize;
	ctl.hash = match_text_hash;
	ctl.match = match_text_compare;
	ctl.hcxt = CurrentMemoryContext;
	return hash_create(name, 64, &ctl,
					   HASH_ELEM | HASH_FUNCTION | HASH_COMPARE |
					   HASH_CONTEXT);
}

/* Make an empty hash table of NvsMarking, in the current memory context. */
HTAB *
nvs_markings_create(void)
{
	return match_hash_create("nvent_store markings", sizeof(NvsMarking));
}

/*
 * The marking of a consumer, made when it is not there.  The name must live
 * as long as the table.
 */
NvsMarking *
nvs_markings_get(HTAB *markings, const char *name)
{
	NvsMarking *marking;
	NvsText		key = {name, strlen(name)};
	bool		found;

	marking = hash_search(markings, &key, HASH_ENTER, &found);
	if (!found)
	{
		marking->has_mark = false;
		marking->mark = PG_INT64_MIN;
		marking->initialize = NULL;
		marking->row_locked = false;
	}
	return marking;
}

/* Have a consumer be marked with this position, or with a higher one. */
void
nvs_marking_raise(NvsMarking *marking, int64 mark)
{
	marking->has_mark = true;
	marking->mark = Max(marking->mark, mark);
}

/* A SQL text of the same bytes, in the current memory context. */
Datum
nvs_match_text_datum(const NvsText *key)
{
	return PointerGetDatum(cstring_to_text_with_len(key->data, key->len));
}

/*
 * Raise, in markings, the marks of the consumers that events of the targets
 * are for, above the position from and not above upto.  Of each target at most
 * limit events are read, and those of the same position as the last of them.
 * Returns the position up to which all targets have been read.
 */
int64
nvs_match_events(NvsConsumers *consumers, List *targets, int64 from,
				 int64 upto, int limit, HTAB *markings)
{
	MatchScan	scan;
	HASH_SEQ_STATUS seq;
	MatchSubject *subject;
	ListCell   *lc;

	memset(&scan, 0, sizeof(scan));
	scan.cxt = CurrentMemoryContext;
	scan.from = from;
	scan.upto = upto;
	scan.limit = limit;
	scan.markings = markings;
	scan.subjects = match_hash_create("nvent_store scan subjects",
									  sizeof(MatchSubject));
	scan.prefixes = match_hash_create("nvent_store scan prefixes",
									  sizeof(MatchPrefix));
	initStringInfo(&scan.buf);

	/* Which subjects have events; upto may fall with every relation. */
	foreach(lc, targets)
		match_read_relation(&scan, lfirst(lc));
	match_group_subjects(&scan);
	if (hash_get_num_entries(scan.subjects) == 0)
		return scan.upto;

	/* Which consumers they are for. */
	match_find_candidates(&scan, consumers);
	hash_seq_init(&seq, scan.subjects);
	while ((subject = hash_seq_search(&seq)) != NULL)
		match_subject(&scan, subject);
	return scan.upto;
}

static const NvsStatement match_read = {.build = match_build_read};

/*
 * Read the positions and subjects of a relation's events.  When it has more
 * than a scan takes, the scan ends where they end.
 */
static void
match_read_relation(MatchScan *scan, NvsTarget *target)
{
	NvsParams	params;
	SPIPlanPtr	plan;
	uint64		n;

	nvs_params_init(&params);
	nvs_params_add(&params, INT8OID, Int64GetDatum(scan->from), false);
	nvs_params_add(&params, INT8OID, Int64GetDatum(scan->upto), false);
	nvs_params_add(&params, INT8OID, Int64GetDatum(scan->limit), false);
	scan->target = target;
	if (!match_walk_relation(scan, target, &n))
	{
		plan = nvs_statement_plan(target->plans, &match_read, &params, target);
		n = nvs_execute_each(plan, &params, true, match_read_event, scan);
	}
	if (n > 0 && n >= scan->limit)
		scan->upto = scan->position;
}

/*
 * Read them along an index; *n is how many there were.  Returns false when it
 * takes a statement.
 */
static bool
match_walk_relation(MatchScan *scan, NvsTarget *target, uint64 *n)
{
	TupleDesc	desc = nvs_stream_state(target)->row;
	AttrNumber	id = nvs_stream_state(target)->id->attnum;
	NvsWalk		walk;
	HeapTuple	row;

	if (desc == NULL ||
		!nvs_walk_positions(&walk, target->relid, scan->from, scan->upto))
		return false;
	*n = 0;
	while ((row = nvs_walk_next(&walk)) != NULL)
	{
		bool		isnull;
		int64		position = DatumGetInt64(heap_getattr(row, id, desc,
														  &isnull));

		CHECK_FOR_INTERRUPTS();
		if (*n >= scan->limit && position != scan->position)
			break;
		(*n)++;
		scan->position = position;
		if (nvs_event_subject(target, row, desc, 0, &scan->buf))
			match_add_event(scan);
	}
	nvs_walk_end(&walk);
	return true;
}

/* Write the query for the events of a relation; arg is its NvsTarget. */
static void
match_build_read(StringInfo sql, const void *arg)
{
	const NvsTarget *target = arg;
	int			i;

	nvs_sql(sql, "SELECT id");
	for (i = 0; i < target->nkeys; i++)
		if (target->keys[i].filters)
			nvs_sql(sql, ", ", target->keys[i].field->quoted,
					"::pg_catalog.text");
	nvs_sql(sql, " FROM ", target->name,
			" WHERE id OPERATOR(pg_catalog.>) $1"
			" AND id OPERATOR(pg_catalog.<=) $2"
			" ORDER BY id FETCH FIRST $3 ROWS WITH TIES");
}

/*
 * Note an event; the row is its position and the columns that make its
 * subject, arg is the MatchScan.  A row that has no subject is no consumer's.
 */
static void
match_read_event(TupleTableSlot *slot, void *arg)
{
	MatchScan  *scan = arg;

	slot_getallattrs(slot);
	scan->position = DatumGetInt64(slot->tts_values[0]);
	resetStringInfo(&scan->buf);
	if (match_make_subject(scan->target, slot->tts_values + 1,
						   slot->tts_isnull + 1, &scan->buf))
		match_add_event(scan);
}

/* Note the event at scan->position whose subject is in scan->buf. */
static void
match_add_event(MatchScan *scan)
{
	MemoryContext old = MemoryContextSwitchTo(scan->cxt);
	MatchEventRef *event;

	if (scan->nevents == scan->size)
	{
		scan->size = Max(256, scan->size * 2);
		scan->events = scan->events == NULL ?
			palloc(sizeof(MatchEventRef) * scan->size) :
			repalloc_huge(scan->events, sizeof(MatchEventRef) * scan->size);
	}
	event = &scan->events[scan->nevents++];
	event->position = scan->position;
	event->subject.data = pnstrdup(scan->buf.data, scan->buf.len);
	event->subject.len = scan->buf.len;
	MemoryContextSwitchTo(old);
}

/* Does the first key of a relation hold whole subjects? */
static bool
match_whole_subject(const NvsTarget *target)
{
	return target->nkeys > 0 && target->keys[0].capture < 0;
}

/*
 * Append a subject to what is there, put together from the columns that
 * match_build_read() asks for, in their order.  Returns false when one of them
 * is NULL; what was appended is of no use then.
 */
static bool
match_make_subject(const NvsTarget *target, const Datum *values,
				   const bool *nulls, StringInfo subject)
{
	const NvsPattern *pattern = target->route->pattern;
	int			ntokens = pattern == NULL ? 0 : pattern->ntokens;
	int			column = 0;
	int			i;

	/* The table has it as one. */
	if (match_whole_subject(target))
	{
		if (!nulls[0])
			match_append_datum(subject, values[0]);
		return !nulls[0];
	}

	/* The tokens of the pattern; those that are not literal are columns. */
	for (i = 0; i < ntokens; i++)
	{
		const NvsPatternToken *token = &pattern->tokens[i];

		if (i > 0)
			appendStringInfoChar(subject, ':');
		if (token->kind == NVS_TOKEN_LITERAL)
			appendBinaryStringInfo(subject, pattern->bytes + token->offset,
								   token->len);
		else if (nulls[column])
			return false;
		else
			match_append_datum(subject, values[column++]);
	}
	return true;
}

/* Append a SQL text, which may be compressed or stored out of line. */
static void
match_append_datum(StringInfo buf, Datum value)
{
	text	   *plain = DatumGetTextPP(value);

	appendBinaryStringInfo(buf, VARDATA_ANY(plain), VARSIZE_ANY_EXHDR(plain));
	if ((Pointer) plain != DatumGetPointer(value))
		pfree(plain);
}

/* Find the distinct subjects and the texts that their patterns begin with. */
static void
match_group_subjects(MatchScan *scan)
{
	int			i;

	for (i = 0; i < scan->nevents; i++)
	{
		MatchEventRef *event = &scan->events[i];
		MatchSubject *subject;
		bool		found;

		if (event->position > scan->upto)
			continue;
		subject = hash_search(scan->subjects, &event->subject, HASH_ENTER,
							  &found);
		if (!found)
		{
			subject->last = event->position;
			match_add_prefixes(scan, &subject->subject);
		}
		else
			subject->last = Max(subject->last, event->position);
	}
}

/*
 * May the literal text that a pattern of this subject begins with have len
 * bytes?  It ends before the subject, behind a ":", or where the subject does.
 */
static bool
match_is_prefix(const NvsText *subject, int len)
{
	return len == 0 || len == subject->len || subject->data[len - 1] == ':';
}

/* Enter the texts that patterns of a subject may begin with. */
static void
match_add_prefixes(MatchScan *scan, const NvsText *subject)
{
	NvsText		key = *subject;
	int			i;

	for (i = 0; i <= subject->len; i++)
	{
		MatchPrefix *prefix;
		bool		found;

		if (!match_is_prefix(subject, i))
			continue;
		key.len = i;
		prefix = hash_search(scan->prefixes, &key, HASH_ENTER, &found);
		if (!found)
			prefix->candidates = NIL;
	}
}

static const NvsStatement match_candidates = {
	"SELECT name, pattern, prefix, mark FROM {consumers} "
	"WHERE prefix OPERATOR(pg_catalog.=) ANY ($1)"
};

/* Read the consumers whose patterns begin with one of those texts. */
static void
match_find_candidates(MatchScan *scan, NvsConsumers *consumers)
{
	HASH_SEQ_STATUS seq;
	MatchPrefix *prefix;
	NvsParams	params;
	Datum	   *prefixes;
	uint64		n = 0;
	uint64		i;

	prefixes = palloc(sizeof(Datum) * hash_get_num_entries(scan->prefixes));
	hash_seq_init(&seq, scan->prefixes);
	while ((prefix = hash_seq_search(&seq)) != NULL)
		prefixes[n++] = nvs_match_text_datum(&prefix->prefix);
	nvs_params_init(&params);
	nvs_params_add(&params, TEXTARRAYOID,
				   nvs_array_of(TEXTOID, prefixes, NULL, n), false);
	n = nvs_table_set_query(consumers, &match_candidates, &params);
	for (i = 0; i < n; i++)
		match_add_candidate(scan, SPI_tuptable->vals[i],
							SPI_tuptable->tupdesc);
	SPI_freetuptable(SPI_tuptable);
}

/* Enter a consumer at the text that its pattern begins with. */
static void
match_add_candidate(MatchScan *scan, HeapTuple row, TupleDesc desc)
{
	MatchCandidate *candidate = palloc(sizeof(MatchCandidate));
	char	   *pattern = SPI_getvalue(row, desc, 2);
	char	   *literal = SPI_getvalue(row, desc, 3);
	NvsText		key = {literal, strlen(literal)};
	MatchPrefix *prefix;
	Datum		mark;
	bool		isnull;

	CHECK_FOR_INTERRUPTS();
	candidate->name = SPI_getvalue(row, desc, 1);
	candidate->pattern = nvs_pattern_compile(pattern, strlen(pattern));
	mark = SPI_getbinval(row, desc, 4, &isnull);
	candidate->mark = isnull ? PG_INT64_MIN : DatumGetInt64(mark);
	prefix = hash_search(scan->prefixes, &key, HASH_FIND, NULL);
	if (prefix != NULL)
		prefix->candidates = lappend(prefix->candidates, candidate);
}

/* Raise the marks of the consumers that a subject is for. */
static void
match_subject(MatchScan *scan, const MatchSubject *subject)
{
	int			i;

	for (i = 0; i <= subject->subject.len; i++)
		if (match_is_prefix(&subject->subject, i))
			match_prefix(scan, subject, i);
}

/*
 * Raise the marks of the consumers that a subject is for, as far as their
 * patterns begin with the first len bytes of it and no more.
 */
static void
match_prefix(MatchScan *scan, const MatchSubject *subject, int len)
{
	NvsText		key = {subject->subject.data, len};
	MatchPrefix *prefix;
	ListCell   *lc;

	prefix = hash_search(scan->prefixes, &key, HASH_FIND, NULL);
	if (prefix == NULL)
		return;
	foreach(lc, prefix->candidates)
	{
		MatchCandidate *candidate = lfirst(lc);

		if (candidate->mark >= subject->last ||
			!nvs_pattern_match(candidate->pattern, subject->subject.data,
							   subject->subject.len, NULL))
			continue;
		CHECK_FOR_INTERRUPTS();
		candidate->mark = subject->last;
		nvs_marking_raise(nvs_markings_get(scan->markings, candidate->name),
						  subject->last);
	}
}
