/*
 * shim.h
 *	  The little of the server that a pure module calls, so that a harness runs
 *	  without one.  Include it in one file of a program, after postgres.h.
 *
 * Memory is malloc's, so that the sanitizers see each chunk; a memory context
 * is NULL.  The database's encoding is UTF-8.  A raised error ends the
 * program, unless shim_catch is set: then it longjmps there.
 */
#ifndef NVS_SHIM_H
#define NVS_SHIM_H

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "storage/shmem.h"
#include "utils/memutils.h"

/* The C library's own, not the server's replacements. */
#undef fprintf
#undef printf
#undef snprintf
#undef vsnprintf

volatile sig_atomic_t InterruptPending = false;
MemoryContext CurrentMemoryContext = NULL;
static jmp_buf *shim_catch = NULL;

/* SQLSTATE of the last error; of elog() and what names none, an internal one. */
static int	shim_sqlstate = 0;

void
ProcessInterrupts(void)
{
}

/* Every chunk that is not freed yet, for shim_reset(). */
static void **shim_chunks = NULL;
static Size shim_nchunks = 0;
static Size shim_room = 0;

/* Memory: out of it is the end of the program, never a finding. */
void *
palloc(Size size)
{
	void	   *chunk = malloc(size > 0 ? size : 1);

	if (shim_nchunks == shim_room)
	{
		shim_room = shim_room * 2 + 64;
		shim_chunks = realloc(shim_chunks, shim_room * sizeof(void *));
	}
	if (chunk == NULL || shim_chunks == NULL)
		exit(1);
	shim_chunks[shim_nchunks++] = chunk;
	return chunk;
}

void *
palloc0(Size size)
{
	return memset(palloc(size), 0, size);
}

void *
MemoryContextAllocZero(MemoryContext context, Size size)
{
	return palloc0(size);
}

/* The number of a chunk; what is none, or no more, is a finding. */
static Size
shim_find(const void *chunk)
{
	Size		i = shim_nchunks;

	do
	{
		if (i == 0)
			abort();
	} while (shim_chunks[--i] != chunk);
	return i;
}

void
pfree(void *chunk)
{
	Size		i = shim_find(chunk);

	shim_chunks[i] = shim_chunks[--shim_nchunks];
	free(chunk);
}

void *
repalloc_huge(void *chunk, Size size)
{
	Size		i = shim_find(chunk);

	shim_chunks[i] = realloc(chunk, size);
	if (shim_chunks[i] == NULL)
		exit(1);
	return shim_chunks[i];
}

/* Free whatever is left, as the end of a memory context does. */
static inline void
shim_reset(void)
{
	while (shim_nchunks > 0)
		free(shim_chunks[--shim_nchunks]);
}

char *
pnstrdup(const char *in, Size len)
{
	char	   *copy = palloc(len + 1);

	memcpy(copy, in, len);
	copy[len] = '\0';
	return copy;
}

char *
psprintf(const char *fmt,...)
{
	char		buf[4096];
	va_list		args;

	va_start(args, fmt);
	vsnprintf(buf, sizeof(buf), fmt, args);
	va_end(args);
	return pnstrdup(buf, strlen(buf));
}

Size
mul_size(Size a, Size b)
{
	return a * b;
}

/* Errors: nobody reads the texts, so they are not even formatted. */
bool
errstart(int elevel, const char *domain)
{
	shim_sqlstate = ERRCODE_INTERNAL_ERROR;
	return true;
}

bool
errstart_cold(int elevel, const char *domain)
{
	return errstart(elevel, domain);
}

void
errfinish(const char *filename, int lineno, const char *funcname)
{
	if (shim_catch == NULL)
		abort();
	longjmp(*shim_catch, 1);
}

int
errcode(int sqlerrcode)
{
	shim_sqlstate = sqlerrcode;
	return 0;
}

int
errmsg(const char *fmt,...)
{
	return 0;
}

int
errmsg_internal(const char *fmt,...)
{
	return 0;
}

int
errdetail(const char *fmt,...)
{
	return 0;
}

int
errdetail_internal(const char *fmt,...)
{
	return 0;
}

int
errhint(const char *fmt,...)
{
	return 0;
}

/* Characters: UTF-8, and any byte that cannot begin one counts as one. */
int
GetDatabaseEncoding(void)
{
	return PG_UTF8;
}

int
pg_encoding_mblen(int encoding, const char *s)
{
	unsigned char c = (unsigned char) *s;

	if ((c & 0xe0) == 0xc0)
		return 2;
	if ((c & 0xf0) == 0xe0)
		return 3;
	if ((c & 0xf8) == 0xf0)
		return 4;
	return 1;
}

int
pg_mbcliplen(const char *s, int len, int limit)
{
	int			n = 0;

	while (n < len)
	{
		int			step = pg_encoding_mblen(PG_UTF8, s + n);

		if (n + step > limit || n + step > len)
			break;
		n += step;
	}
	return n;
}

/* Is this well-formed UTF-8 as PostgreSQL has it? */
bool
pg_verify_mbstr(int encoding, const char *s, int len, bool noerror)
{
	while (len > 0)
	{
		const unsigned char *c = (const unsigned char *) s;
		int			step = pg_encoding_mblen(PG_UTF8, s);
		int			i;

		if (step > len || c[0] == 0 || (step == 1 && c[0] >= 0x80) ||
			(step == 2 && c[0] < 0xc2) ||
			(c[0] == 0xe0 && c[1] < 0xa0) || (c[0] == 0xed && c[1] > 0x9f) ||
			(c[0] == 0xf0 && c[1] < 0x90) || (c[0] == 0xf4 && c[1] > 0x8f) ||
			c[0] > 0xf4)
			return false;
		for (i = 1; i < step; i++)
		{
			if ((c[i] & 0xc0) != 0x80)
				return false;
		}
		s += step;
		len -= step;
	}
	return true;
}

#endif							/* NVS_SHIM_H */
