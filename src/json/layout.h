/*
 * json/layout.h
 *	  Reads and writes the binary form of jsonb, without JsonbValue trees.
 *
 * A container is a header (count and kind), one JEntry per child, then the
 * children's bytes; an object's children are all keys, sorted by length and
 * then bytes, followed by all values in key order.  Numbers and containers
 * start on a 4-byte boundary and the padding before them counts as theirs, so
 * a child's bytes can be copied to any place once the padding is redone.
 * A reader obeys the HAS_OFF bits that it finds; a writer sets them where
 * PostgreSQL does, so that equal documents are equal bytes.
 */
#ifndef NVS_JSON_LAYOUT_H
#define NVS_JSON_LAYOUT_H

#include "postgres.h"

#include "utils/jsonb.h"
#include "utils/memutils.h"

#include "errors.h"

/* Most bytes of a container; the fuzz harness builds with less. */
#ifndef NVS_JSONB_MAX_SIZE
#define NVS_JSONB_MAX_SIZE		JENTRY_OFFLENMASK
#endif

/* Most pairs of an object: what PostgreSQL's own functions can rebuild. */
#define NVS_JSONB_MAX_PAIRS		(MaxAllocSize / sizeof(JsonbPair))

/* Does a child of this JEntry type start on a 4-byte boundary? */
#define NVS_JSONB_ALIGNED(type) \
	((type) == JENTRY_ISNUMERIC || (type) == JENTRY_ISCONTAINER)

/* One child of a container: its bytes without the padding before them. */
typedef struct NvsJsonbChild
{
	const char *data;
	uint32		len;
	uint32		type;			/* JENTRY_IS... */
} NvsJsonbChild;

/* Where a document is being written. */
typedef struct NvsJsonbOut
{
	char	   *base;			/* the varlena; offsets count from here */
	Size		len;			/* bytes written, header included */
	Size		cap;			/* bytes allocated */
} NvsJsonbOut;

/* An object that is being written: first every key, then every value. */
typedef struct NvsJsonbWriter
{
	NvsJsonbOut *out;
	Size		start;			/* before the padding of the container */
	Size		data;			/* where the children's bytes start */
	Size		entries;		/* where the JEntrys start */
	uint32		index;			/* next child */
} NvsJsonbWriter;

extern void nvs_jsonb_too_large(void);
extern void nvs_jsonb_too_many_pairs(void);

/* Order of object keys: shorter first, then by bytes. */
static inline int
nvs_jsonb_key_cmp(const char *a, uint32 alen, const char *b, uint32 blen)
{
	if (alen != blen)
		return alen < blen ? -1 : 1;
	return memcmp(a, b, alen);
}

/* Children of a container: twice the pairs for an object. */
static inline uint32
nvs_jsonb_nchildren(const JsonbContainer *jc)
{
	uint32		n = JsonContainerSize(jc);

	return JsonContainerIsObject(jc) ? 2 * n : n;
}

/* First byte of the children's data. */
static inline const char *
nvs_jsonb_data(const JsonbContainer *jc)
{
	return (const char *) &jc->children[nvs_jsonb_nchildren(jc)];
}

/* Where child i starts in the data, its padding included. */
static inline uint32
nvs_jsonb_offset(const JsonbContainer *jc, uint32 i)
{
	uint32		offset = 0;

	while (i > 0)
	{
		JEntry		entry = jc->children[--i];

		offset += JBE_OFFLENFLD(entry);
		if (JBE_HAS_OFF(entry))
			break;
	}
	return offset;
}

/* Where child i ends, given where it starts. */
static inline uint32
nvs_jsonb_child_end(const JsonbContainer *jc, uint32 i, uint32 offset)
{
	JEntry		entry = jc->children[i];

	if (JBE_HAS_OFF(entry))
		return JBE_OFFLENFLD(entry);
	return offset + JBE_OFFLENFLD(entry);
}

/* Child i, which starts at offset. */
static inline NvsJsonbChild
nvs_jsonb_child_at(const JsonbContainer *jc, uint32 i, uint32 offset)
{
	NvsJsonbChild child;
	uint32		end = nvs_jsonb_child_end(jc, i, offset);

	child.type = jc->children[i] & JENTRY_TYPEMASK;
	if (NVS_JSONB_ALIGNED(child.type))
		offset = INTALIGN(offset);
	child.data = nvs_jsonb_data(jc) + offset;
	child.len = end - offset;
	return child;
}

/* Child i. */
static inline NvsJsonbChild
nvs_jsonb_child(const JsonbContainer *jc, uint32 i)
{
	return nvs_jsonb_child_at(jc, i, nvs_jsonb_offset(jc, i));
}

/* Compare key i of an object with another key. */
static inline int
nvs_jsonb_cmp_key(const JsonbContainer *jc, uint32 i, NvsJsonbChild key)
{
	JEntry		entry = jc->children[i];
	uint32		offset;
	uint32		len = JBE_OFFLENFLD(entry);

	/* Most keys differ in length, which needs no offset. */
	if (!JBE_HAS_OFF(entry) && len != key.len)
		return len < key.len ? -1 : 1;
	offset = nvs_jsonb_offset(jc, i);
	if (JBE_HAS_OFF(entry))
		len -= offset;
	return nvs_jsonb_key_cmp(nvs_jsonb_data(jc) + offset, len,
							 key.data, key.len);
}

/*
 * Search keys lo to hi - 1 of an object.  Returns whether the key is there;
 * *pos is where it is, or where it belongs.
 */
static inline bool
nvs_jsonb_search(const JsonbContainer *jc, uint32 lo, uint32 hi,
				 NvsJsonbChild key, uint32 *pos)
{
	int			cmp = 1;

	while (lo < hi && cmp != 0)
	{
		uint32		mid = lo + (hi - lo) / 2;

		cmp = nvs_jsonb_cmp_key(jc, mid, key);
		if (cmp < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	*pos = hi;
	return cmp == 0;
}

/* Find the value of a key of an object; false if there is no such key. */
static inline bool
nvs_jsonb_get(const JsonbContainer *jc, const char *key, uint32 keylen,
			  NvsJsonbChild *value)
{
	NvsJsonbChild wanted = {key, keylen, JENTRY_ISSTRING};
	uint32		n = JsonContainerSize(jc);
	uint32		pos;

	if (!nvs_jsonb_search(jc, 0, n, wanted, &pos))
		return false;
	*value = nvs_jsonb_child(jc, n + pos);
	return true;
}

/* A whole document as a child: what it becomes inside another one. */
static inline NvsJsonbChild
nvs_jsonb_root(const Jsonb *jb)
{
	NvsJsonbChild child;

	if (JsonContainerIsScalar(&jb->root))
		return nvs_jsonb_child(&jb->root, 0);
	child.type = JENTRY_ISCONTAINER;
	child.data = (const char *) &jb->root;
	child.len = VARSIZE(jb) - VARHDRSZ;
	return child;
}

/* Is the child an object? */
static inline bool
nvs_jsonb_is_object(NvsJsonbChild child)
{
	return child.type == JENTRY_ISCONTAINER &&
		JsonContainerIsObject((const JsonbContainer *) child.data);
}

/* Are two children the same bytes? */
static inline bool
nvs_jsonb_same(NvsJsonbChild a, NvsJsonbChild b)
{
	return a.type == b.type && a.len == b.len &&
		memcmp(a.data, b.data, a.len) == 0;
}

/*
 * Claim the next size bytes of the buffer, which the caller has allotted;
 * returns where they are.
 */
static inline char *
nvs_jsonb_reserve(NvsJsonbOut *out, Size size)
{
	char	   *room = out->base + out->len;

	if (unlikely(size > out->cap - out->len))
		elog(ERROR, "unexpected size of a jsonb document");
	out->len += size;
	return room;
}

/* Write zero bytes up to the next 4-byte boundary. */
static inline void
nvs_jsonb_pad(NvsJsonbOut *out)
{
	Size		n = INTALIGN(out->len) - out->len;

	if (n > 0)
		memset(nvs_jsonb_reserve(out, n), 0, n);
}

/* Append the JEntry of the child whose bytes have just been written. */
static inline void
nvs_jsonb_put_entry(NvsJsonbWriter *w, uint32 type, Size len)
{
	Size		end = w->out->len - w->data;
	JEntry		entry = type;

	if (unlikely(end > NVS_JSONB_MAX_SIZE))
		nvs_jsonb_too_large();
	if (w->index % JB_OFFSET_STRIDE == 0)
		entry |= (JEntry) end | JENTRY_HAS_OFF;
	else
		entry |= (JEntry) len;
	((JEntry *) (w->out->base + w->entries))[w->index++] = entry;
}

/* Append one child. */
static inline void
nvs_jsonb_put(NvsJsonbWriter *w, NvsJsonbChild child)
{
	Size		start = w->out->len;

	if (NVS_JSONB_ALIGNED(child.type))
		nvs_jsonb_pad(w->out);
	if (child.len > 0)
		memcpy(nvs_jsonb_reserve(w->out, child.len), child.data, child.len);
	nvs_jsonb_put_entry(w, child.type, w->out->len - start);
}

/* Start an object of npairs pairs at the end of the buffer. */
static inline void
nvs_jsonb_begin(NvsJsonbWriter *w, NvsJsonbOut *out, Size npairs)
{
	if (unlikely(npairs > NVS_JSONB_MAX_PAIRS))
		nvs_jsonb_too_many_pairs();
	w->out = out;
	w->start = out->len;
	w->index = 0;
	nvs_jsonb_pad(out);
	*(uint32 *) nvs_jsonb_reserve(out, sizeof(uint32)) =
		(uint32) npairs | JB_FOBJECT;
	w->entries = out->len;
	nvs_jsonb_reserve(out, 2 * npairs * sizeof(JEntry));
	w->data = out->len;
}

/* End the object; returns its size as a child, padding included. */
static inline Size
nvs_jsonb_end(NvsJsonbWriter *w)
{
	Size		size = w->out->len - w->start;

	if (unlikely(size > NVS_JSONB_MAX_SIZE))
		nvs_jsonb_too_large();
	return size;
}

/* Allocate a buffer for at most cap bytes and skip the varlena header. */
static inline void
nvs_jsonb_out_init(NvsJsonbOut *out, Size cap)
{
	out->base = palloc(cap);
	out->cap = cap;
	out->len = VARHDRSZ;
}

/* The finished document. */
static inline Jsonb *
nvs_jsonb_out_finish(NvsJsonbOut *out)
{
	SET_VARSIZE(out->base, out->len);
	return (Jsonb *) out->base;
}

#endif							/* NVS_JSON_LAYOUT_H */
