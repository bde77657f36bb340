/*
 * consumer/match.c
 *	  Matches the events of a scan with the patterns of consumers.
 *
 * Events are read from each table of the store by position; only the columns
 * that make their subjects.  Of each subject the last event counts.  The
 * patterns that can match it are found by the literal text that they begin
 * with, and then compared as a whole.
 *
 * Everything here runs under the active snapshot.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "consumer/mark.h"
#include "route/route.h"

/* A subject and the last of the events that it has in this scan. */
typedef struct SubjectEntry
{
	NvsText		subject;		/* hash key */
	int64		last;
} SubjectEntry;

/* Consumers whose patterns begin with the same text. */
typedef struct PrefixEntry
{
	NvsText		prefix;			/* hash key */
	List	   *consumers;		/* Candidate */
} PrefixEntry;

/* A consumer whose pattern may match a subject of this scan. */
typedef struct Candidate
{
	char	   *name;
	const NvsPattern *pattern;
	int64		mark;			/* what it is at, or will be */
} Candidate;

static void read_relation(NvsMarkScan *scan, NvsTarget *target);
static void add_sighting(NvsMarkScan *scan, NvsTarget *target, HeapTuple row,
						 TupleDesc desc);
static void group_subjects(NvsMarkScan *scan);
static void add_prefixes(NvsMarkScan *scan, const SubjectEntry *entry);
static void find_candidates(NvsMarkScan *scan);
static void match_subject(NvsMarkScan *scan, const SubjectEntry *entry);
static void match_prefix(NvsMarkScan *scan, const SubjectEntry *entry,
						 int len);

/* Hash the text that a key points to. */
static uint32
text_hash(const void *key, Size keysize)
{
	const NvsText *text = key;

	return hash_bytes((const unsigned char *) text->data, text->len);
}

/* Compare the texts that two keys point to. */
static int
text_match(const void *a, const void *b, Size keysize)
{
	const NvsText *x = a;
	const NvsText *y = b;

	return x->len == y->len ? memcmp(x->data, y->data, x->len) : 1;
}

/* A SQL text of the same bytes. */
Datum
nvs_mark_text_datum(const NvsText *text)
{
	return PointerGetDatum(cstring_to_text_with_len(text->data, text->len));
}

/* Make a hash table of entries that begin with a NvsText. */
HTAB *
nvs_mark_table(const char *name, Size entrysize)
{
	HASHCTL		ctl;

	memset(&ctl, 0, sizeof(ctl));
	ctl.keysize = sizeof(NvsText);
	ctl.entrysize = entrysize;
	ctl.hash = text_hash;
	ctl.match = text_match;
	ctl.hcxt = CurrentMemoryContext;
	return hash_create(name, 64, &ctl,
					   HASH_ELEM | HASH_FUNCTION | HASH_COMPARE |
					   HASH_CONTEXT);
}

/* Note the marks of consumers that the events of a scan are for. */
void
nvs_mark_match(NvsMarkScan *scan, List *targets)
{
	HASH_SEQ_STATUS seq;
	SubjectEntry *entry;
	ListCell   *lc;

	scan->subjects = nvs_mark_table("nvent_store scan subjects",
									sizeof(SubjectEntry));
	scan->prefixes = nvs_mark_table("nvent_store scan prefixes",
									sizeof(PrefixEntry));
	foreach(lc, targets)
		read_relation(scan, lfirst(lc));
	group_subjects(scan);
	if (hash_get_num_entries(scan->subjects) == 0)
		return;
	find_candidates(scan);
	hash_seq_init(&seq, scan->subjects);
	while ((entry = hash_seq_search(&seq)) != NULL)
		match_subject(scan, entry);
}

/*
 * Read the positions and subjects of a relation's events.  When it has more
 * than a scan takes, this scan ends where they end.
 */
static void
read_relation(NvsMarkScan *scan, NvsTarget *target)
{
	NvsParams	params;
	StringInfoData sql;
	SPIPlanPtr	plan;
	uint64		n;
	uint64		i;
	int			k;

	initStringInfo(&sql);
	nvs_params_init(&params);
	appendStringInfoString(&sql, "SELECT id");
	for (k = 0; k < target->nkeys; k++)
		if (target->keys[k].filters)
			appendStringInfo(&sql, ", %s::pg_catalog.text",
							 target->keys[k].field->quoted);
	appendStringInfo(&sql, " FROM %s WHERE id OPERATOR(pg_catalog.>) $%d",
					 target->name,
					 nvs_params_add(&params, INT8OID,
									Int64GetDatum(scan->from), false));
	appendStringInfo(&sql, " AND id OPERATOR(pg_catalog.<=) $%d",
					 nvs_params_add(&params, INT8OID,
									Int64GetDatum(scan->upto), false));
	appendStringInfo(&sql, " ORDER BY id FETCH FIRST $%d ROWS WITH TIES",
					 nvs_params_add(&params, INT8OID,
									Int64GetDatum(scan->limit), false));
	plan = nvs_statement_plan_text(target->plans, sql.data, &params, false);
	n = nvs_execute(plan, &params, true, 0);
	for (i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		add_sighting(scan, target, SPI_tuptable->vals[i],
					 SPI_tuptable->tupdesc);
	}
	if (n > 0 && n >= scan->limit)
	{
		bool		isnull;

		scan->upto = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[n - 1],
												 SPI_tuptable->tupdesc, 1,
												 &isnull));
	}
	SPI_freetuptable(SPI_tuptable);
}

/* Note an event; a row whose keys make no subject is of no consumer. */
static void
add_sighting(NvsMarkScan *scan, NvsTarget *target, HeapTuple row,
			 TupleDesc desc)
{
	const NvsPattern *pattern = target->route->pattern;
	StringInfoData subject;
	NvsSighting *found;
	bool		isnull;
	int			column = 2;
	int			i;

	initStringInfo(&subject);
	if (target->nkeys > 0 && target->keys[0].capture < 0)
	{
		Datum		value = SPI_getbinval(row, desc, column, &isnull);
		text	   *whole;

		if (isnull)
			return;
		whole = DatumGetTextPP(value);
		appendBinaryStringInfo(&subject, VARDATA_ANY(whole),
							   VARSIZE_ANY_EXHDR(whole));
	}
	else
		for (i = 0; pattern != NULL && i < pattern->ntokens; i++)
		{
			const NvsPatternToken *token = &pattern->tokens[i];
			Datum		value;
			text	   *part;

			if (i > 0)
				appendStringInfoChar(&subject, ':');
			if (token->kind == NVS_TOKEN_LITERAL)
			{
				appendBinaryStringInfo(&subject,
									   pattern->text +token->offset,
									   token->len);
				continue;
			}
			value = SPI_getbinval(row, desc, column++, &isnull);
			if (isnull)
				return;
			part = DatumGetTextPP(value);
			appendBinaryStringInfo(&subject, VARDATA_ANY(part),
								   VARSIZE_ANY_EXHDR(part));
		}

	if (scan->nsightings == scan->size)
	{
		scan->size = Max(256, scan->size * 2);
		scan->sightings = scan->sightings == NULL ?
			palloc(sizeof(NvsSighting) * scan->size) :
			repalloc_huge(scan->sightings, sizeof(NvsSighting) * scan->size);
	}
	found = &scan->sightings[scan->nsightings++];
	found->position = DatumGetInt64(SPI_getbinval(row, desc, 1, &isnull));
	found->subject = subject.data;
	found->len = subject.len;
}

/* Find the distinct subjects and the texts that their patterns begin with. */
static void
group_subjects(NvsMarkScan *scan)
{
	int			i;

	for (i = 0; i < scan->nsightings; i++)
	{
		NvsSighting *found = &scan->sightings[i];
		SubjectEntry *entry;
		NvsText		key;
		bool		exists;

		if (found->position > scan->upto)
			continue;
		key.data = found->subject;
		key.len = found->len;
		entry = hash_search(scan->subjects, &key, HASH_ENTER, &exists);
		if (!exists)
		{
			entry->last = found->position;
			add_prefixes(scan, entry);
		}
		else
			entry->last = Max(entry->last, found->position);
	}
}

/* Enter what patterns of a subject can begin with. */
static void
add_prefixes(NvsMarkScan *scan, const SubjectEntry *entry)
{
	NvsText		prefix = entry->subject;
	int			i;

	for (i = 0; i <= entry->subject.len; i++)
	{
		PrefixEntry *found;
		bool		exists;

		if (i > 0 && i < entry->subject.len &&
			entry->subject.data[i - 1] != ':')
			continue;
		prefix.len = i;
		found = hash_search(scan->prefixes, &prefix, HASH_ENTER, &exists);
		if (!exists)
			found->consumers = NIL;
	}
}

static const NvsStatement match_candidates = {
	"SELECT name, pattern, prefix, mark FROM {consumers} "
	"WHERE prefix OPERATOR(pg_catalog.=) ANY ($1)"
};

/* Read the consumers whose patterns begin with one of those texts. */
static void
find_candidates(NvsMarkScan *scan)
{
	HASH_SEQ_STATUS seq;
	PrefixEntry *entry;
	NvsParams	params;
	Datum	   *prefixes;
	uint64		n = 0;
	uint64		i;

	prefixes = palloc(sizeof(Datum) * hash_get_num_entries(scan->prefixes));
	hash_seq_init(&seq, scan->prefixes);
	while ((entry = hash_seq_search(&seq)) != NULL)
		prefixes[n++] = nvs_mark_text_datum(&entry->prefix);
	nvs_params_init(&params);
	nvs_params_add(&params, TEXTARRAYOID,
				   nvs_array_of(TEXTOID, prefixes, NULL, n), false);
	n = nvs_consumer_query(scan->consumers, &match_candidates, &params);
	for (i = 0; i < n; i++)
	{
		HeapTuple	row = SPI_tuptable->vals[i];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		Candidate  *candidate = palloc(sizeof(Candidate));
		char	   *pattern = SPI_getvalue(row, desc, 2);
		NvsText		key;
		Datum		mark;
		bool		isnull;

		CHECK_FOR_INTERRUPTS();
		key.data = SPI_getvalue(row, desc, 3);
		key.len = strlen(key.data);
		mark = SPI_getbinval(row, desc, 4, &isnull);
		candidate->name = SPI_getvalue(row, desc, 1);
		candidate->pattern = nvs_pattern_compile(pattern, strlen(pattern));
		candidate->mark = isnull ? PG_INT64_MIN : DatumGetInt64(mark);
		entry = hash_search(scan->prefixes, &key, HASH_FIND, NULL);
		if (entry != NULL)
			entry->consumers = lappend(entry->consumers, candidate);
	}
	SPI_freetuptable(SPI_tuptable);
}

/* Raise the marks of the consumers that a subject is for. */
static void
match_subject(NvsMarkScan *scan, const SubjectEntry *entry)
{
	int			i;

	for (i = 0; i <= entry->subject.len; i++)
		if (i == 0 || i == entry->subject.len ||
			entry->subject.data[i - 1] == ':')
			match_prefix(scan, entry, i);
}

/* The same for those whose patterns begin with its first len bytes. */
static void
match_prefix(NvsMarkScan *scan, const SubjectEntry *entry, int len)
{
	NvsText		key = entry->subject;
	PrefixEntry *prefix;
	ListCell   *lc;

	key.len = len;
	prefix = hash_search(scan->prefixes, &key, HASH_FIND, NULL);
	if (prefix == NULL)
		return;
	foreach(lc, prefix->consumers)
	{
		Candidate  *candidate = lfirst(lc);
		NvsMarking *marking;

		if (candidate->mark >= entry->last ||
			!nvs_pattern_match(candidate->pattern, entry->subject.data,
							   entry->subject.len, NULL))
			continue;
		CHECK_FOR_INTERRUPTS();
		candidate->mark = entry->last;
		marking = nvs_mark_get(scan, candidate->name);
		marking->mark = Max(marking->mark, entry->last);
		marking->marks = true;
	}
}
