/*
 * consumer/mark.h
 *	  What marking consumers shares: a scan and what it found.
 */
#ifndef NVS_CONSUMER_MARK_H
#define NVS_CONSUMER_MARK_H

#include "postgres.h"

#include "utils/hsearch.h"

#include "consumer/consumer.h"

/* A piece of text as a hash key, which does not own it. */
typedef struct NvsText
{
	const char *data;
	int			len;
} NvsText;

/* A consumer to be marked. */
typedef struct NvsMarking
{
	NvsText		name;			/* hash key */
	int64		mark;
	bool		marks;			/* else it is only to be admitted */
	bool		straggles;		/* its row was held by somebody else */
	char	   *admit;			/* pattern with which it is admitted, or NULL */
} NvsMarking;

/* A position and a subject, as read from a stream. */
typedef struct NvsSighting
{
	int64		position;
	char	   *subject;
	int			len;
} NvsSighting;

/* One look at the events that became settled. */
typedef struct NvsMarkScan
{
	NvsConsumers *consumers;
	int64		from;			/* exclusive */
	int64		upto;			/* inclusive */
	int			limit;			/* events of one relation */
	NvsSighting *sightings;
	int			nsightings;
	int			size;
	HTAB	   *subjects;
	HTAB	   *prefixes;
	HTAB	   *markings;
	bool		had_stragglers;
	int			nstragglers;
	bool		exists;			/* the checkpoint is there */
} NvsMarkScan;

/* consumer/mark.c */
extern NvsMarking *nvs_mark_get(NvsMarkScan *scan, const char *name);

/* consumer/match.c */
extern Datum nvs_mark_text_datum(const NvsText *text);
extern HTAB *nvs_mark_table(const char *name, Size entrysize);
extern void nvs_mark_match(NvsMarkScan *scan, List *targets);

#endif							/* NVS_CONSUMER_MARK_H */
