/*
 * json/merge.c
 *	  Merges two jsonb objects by joining their sorted keys.
 *
 * A merge has two steps.  Planning walks the source's keys, looks each up in
 * the target and notes what the result is made of: runs of pairs that stay,
 * values that are replaced, pairs that are added, objects that are merged in
 * turn.  Writing copies those runs as bytes.  An object that the plan leaves
 * alone is a part of a run, so the cost is that of the source's keys and one
 * copy of the result; a merge that changes nothing is found out by planning.
 *
 * The plan of nested objects stands in the same array, after the step that
 * needs it.  No catalog and no SPI: the fuzz harness runs this file alone.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "json/layout.h"
#include "json/merge.h"

/* Steps of a plan that need no allocation. */
#define FIXED_STEPS		32

/* No document is that deep. */
#define ALL_LEVELS		PG_INT32_MAX

/* Not the index of any step. */
#define NO_STEP			(PG_UINT32_MAX - 1)

/* What a null in the source does, and objects that the target lacks. */
typedef enum MergeMode
{
	MERGE_DEEP,					/* nulls delete; new values go in as they are */
	MERGE_PATCH,				/* RFC 7396: new objects lose their nulls */
	MERGE_DEPTH					/* below so many levels all is replaced */
} MergeMode;

typedef enum StepKind
{
	STEP_KEEP,					/* n pairs of the target from t on */
	STEP_TAKE,					/* key t of the target, value s of the source */
	STEP_MERGE,					/* key t, an object made by the next n steps */
	STEP_ADD,					/* n pairs of the source from s on */
	STEP_ADD_MERGED				/* key s, an object made by the next n steps */
} StepKind;

typedef struct Step
{
	StepKind	kind;
	uint32		t;
	uint32		s;
	uint32		n;
} Step;

/* A place in a container that moves forward mostly: where a child starts. */
typedef struct Cursor
{
	const JsonbContainer *jc;
	uint32		index;
	uint32		offset;
} Cursor;

typedef struct Merge
{
	MergeMode	mode;
	int			depth;			/* levels yet to merge, of MERGE_DEPTH */
	Step	   *steps;
	uint32		nsteps;
	uint32		cap;
	Step		fixed[FIXED_STEPS];
} Merge;

static bool plan_nested(Merge *m, StepKind kind, const JsonbContainer *target,
						const JsonbContainer *source, uint32 t, uint32 s);

/* Append a step; its index. */
static uint32
add_step(Merge *m, StepKind kind, uint32 t, uint32 s, uint32 n)
{
	Step	   *step;

	if (m->nsteps == m->cap)
	{
		Size		size = (Size) m->cap * 2 * sizeof(Step);

		if (m->steps == m->fixed)
			m->steps = memcpy(palloc(size), m->fixed, sizeof(m->fixed));
		else
			m->steps = repalloc_huge(m->steps, size);
		m->cap *= 2;
	}
	step = &m->steps[m->nsteps];
	step->kind = kind;
	step->t = t;
	step->s = s;
	step->n = n;
	return m->nsteps++;
}

/* Move the cursor to child index; where that starts. */
static inline uint32
seek(Cursor *c, uint32 index)
{
	/* Far away or back it is quicker to ask for the nearest offset. */
	if (index < c->index || index - c->index > JB_OFFSET_STRIDE / 2)
		c->offset = nvs_jsonb_offset(c->jc, index);
	else
	{
		uint32		i;

		for (i = c->index; i < index; i++)
			c->offset = nvs_jsonb_child_end(c->jc, i, c->offset);
	}
	c->index = index;
	return c->offset;
}

/* The child at index. */
static inline NvsJsonbChild
seek_child(Cursor *c, uint32 index)
{
	return nvs_jsonb_child_at(c->jc, index, seek(c, index));
}

/* Pairs of an object; an absent one has none. */
static inline uint32
pairs_of(const JsonbContainer *jc)
{
	return jc ? JsonContainerSize(jc) : 0;
}

/*
 * Move *pos forward to where the key is or belongs among n keys; is it there?
 * Strides grow from gap, so near keys are found in few steps and far ones in
 * logarithmically many.
 */
static bool
find_key(const JsonbContainer *jc, uint32 n, NvsJsonbChild key, uint32 gap,
		 uint32 *pos)
{
	uint32		lo = *pos;
	uint32		hi = lo;
	bool		found = false;

	while (hi < n)
	{
		int			cmp = nvs_jsonb_cmp_key(jc, hi, key);

		found = (cmp == 0);
		if (cmp >= 0)
			break;
		lo = hi + 1;
		hi = Min(lo + gap, n);
		gap = gap * 2 + 1;
	}
	if (found)
		*pos = hi;
	else
		found = nvs_jsonb_search(jc, lo, hi, key, pos);
	return found;
}

/* The object that a child is, or NULL. */
static inline const JsonbContainer *
as_object(NvsJsonbChild child)
{
	return nvs_jsonb_is_object(child) ? (const JsonbContainer *) child.data
		: NULL;
}

/*
 * Plan the value of a key that the target has as pair t and the source as
 * pair s.  False, and no step, if it stays as it is.
 */
static bool
plan_common(Merge *m, NvsJsonbChild old, NvsJsonbChild new,
			uint32 t, uint32 s)
{
	const JsonbContainer *target = as_object(old);
	const JsonbContainer *source = as_object(new);

	if (source && (target || m->mode == MERGE_PATCH) && m->depth > 1)
	{
		if (plan_nested(m, STEP_MERGE, target, source, t, s))
			return true;
		if (target)
			return false;
	}
	if (nvs_jsonb_same(old, new))
		return false;
	add_step(m, STEP_TAKE, t, s, 1);
	return true;
}

/*
 * Plan pair s, whose key only the source has.  False if the pair goes in as
 * it is: one more pair for the run of added pairs that step *run is, if that
 * is the last step.
 */
static bool
plan_new(Merge *m, NvsJsonbChild value, uint32 s, uint32 *run)
{
	const JsonbContainer *source = as_object(value);

	if (source && m->mode == MERGE_PATCH &&
		plan_nested(m, STEP_ADD_MERGED, NULL, source, 0, s))
		return true;
	if (*run + 1 == m->nsteps && m->steps[*run].s + m->steps[*run].n == s)
		m->steps[*run].n++;
	else
		*run = add_step(m, STEP_ADD, 0, s, 1);
	return false;
}

/* Note that the target's pairs from *kept up to t stay. */
static inline void
flush_kept(Merge *m, uint32 *kept, uint32 t)
{
	if (t > *kept)
		add_step(m, STEP_KEEP, *kept, 0, t - *kept);
	*kept = t;
}

/*
 * Plan the merge of source into target, or what becomes of source when there
 * is no target.  False, with steps to be thrown away, if the result is the
 * target, or the source when there is no target.
 */
static bool
plan_object(Merge *m, const JsonbContainer *target,
			const JsonbContainer *source)
{
	uint32		nt = pairs_of(target);
	uint32		ns = pairs_of(source);
	uint32		keyoff = 0;
	uint32		valoff = nvs_jsonb_offset(source, ns);
	Cursor		old = {target, 0, 0};
	uint32		run = NO_STEP;
	uint32		kept = 0;		/* the first target pair without a step */
	uint32		t = 0;
	uint32		s;
	bool		changed = false;

	check_stack_depth();
	for (s = 0; s < ns; s++)
	{
		NvsJsonbChild key = nvs_jsonb_child_at(source, s, keyoff);
		NvsJsonbChild value = nvs_jsonb_child_at(source, ns + s, valoff);
		bool		found = find_key(target, nt, key, (nt - t) / (ns - s), &t);
		uint32		mark = m->nsteps;
		uint32		kept_before = kept;
		bool		deletes = value.type == JENTRY_ISNULL &&
			m->mode != MERGE_DEPTH;

		CHECK_FOR_INTERRUPTS();
		keyoff = nvs_jsonb_child_end(source, s, keyoff);
		valoff = nvs_jsonb_child_end(source, ns + s, valoff);

		if (!found && deletes)
		{
			/* No key to delete; yet a stripped source is another one. */
			changed |= (target == NULL);
			continue;
		}
		flush_kept(m, &kept, t);
		if (!found)
		{
			if (plan_new(m, value, s, &run) || target)
				changed = true;
			continue;
		}
		if (deletes ||
			plan_common(m, seek_child(&old, nt + t), value, t, s))
		{
			changed = true;
			kept = t + 1;
		}
		else
		{
			m->nsteps = mark;
			kept = kept_before;
		}
		t++;
	}
	flush_kept(m, &kept, nt);
	return changed;
}

/* Plan an object below a step of that kind; false, and no step, if it stays. */
static bool
plan_nested(Merge *m, StepKind kind, const JsonbContainer *target,
			const JsonbContainer *source, uint32 t, uint32 s)
{
	uint32		step = add_step(m, kind, t, s, 0);
	bool		changed;

	m->depth--;
	changed = plan_object(m, target, source);
	m->depth++;
	if (changed)
		m->steps[step].n = m->nsteps - step - 1;
	else
		m->nsteps = step;
	return changed;
}

/* The step after this one in the same object. */
static inline const Step *
next_step(const Step *step)
{
	if (step->kind == STEP_MERGE || step->kind == STEP_ADD_MERGED)
		return step + step->n + 1;
	return step + 1;
}

/* Pairs that a step makes. */
static inline uint32
step_pairs(const Step *step)
{
	return step->kind == STEP_KEEP || step->kind == STEP_ADD ? step->n : 1;
}

/* Does the key come from the target? */
static inline bool
key_from_target(const Step *step)
{
	return step->kind != STEP_ADD && step->kind != STEP_ADD_MERGED;
}

/*
 * Copy whole strides of JEntrys, up to nstrides of them: lengths stay and the
 * offset that each starts with moves by shift.  Stops at one that has its
 * offset elsewhere; the number of JEntrys copied.
 */
static uint32
copy_strides(JEntry *out, const JEntry *in, uint32 nstrides, uint32 shift)
{
	uint32		i;

	for (i = 0; i < nstrides; i++)
	{
		uint32		noffsets = 0;
		int			j;

		for (j = 0; j < JB_OFFSET_STRIDE; j++)
			noffsets += in[j] / JENTRY_HAS_OFF;
		if (noffsets != 1 || !JBE_HAS_OFF(in[0]))
			break;
		memcpy(out, in, JB_OFFSET_STRIDE * sizeof(JEntry));
		out[0] += shift;
		in += JB_OFFSET_STRIDE;
		out += JB_OFFSET_STRIDE;
	}
	return i * JB_OFFSET_STRIDE;
}

/*
 * Write the JEntrys of count children from index first on, of which the first
 * starts at offset there and shift bytes further here.  Where the last ends.
 */
static uint32
copy_entries(NvsJsonbWriter *w, const JsonbContainer *jc, uint32 first,
			 uint32 count, uint32 offset, uint32 shift)
{
	const JEntry *in = &jc->children[first];
	JEntry	   *out = (JEntry *) (w->out->base + w->entries) + w->index;
	uint32		i;

	for (i = 0; i < count; i++)
	{
		JEntry		entry = in[i] & JENTRY_TYPEMASK;
		uint32		end = JBE_OFFLENFLD(in[i]);

		if (!JBE_HAS_OFF(in[i]))
			end += offset;
		if ((w->index + i) % JB_OFFSET_STRIDE != 0)
			entry |= end - offset;
		else
		{
			uint32		n = 0;

			/* Unless keys came or went before, offsets stand as they must. */
			if ((first + i) % JB_OFFSET_STRIDE == 0)
				n = copy_strides(out + i, in + i,
								 (count - i) / JB_OFFSET_STRIDE, shift);
			if (n > 0)
			{
				i += n - 1;
				offset = nvs_jsonb_offset(jc, first + i + 1);
				continue;
			}
			entry |= JENTRY_HAS_OFF | (end + shift);
		}
		out[i] = entry;
		offset = end;
	}
	w->index += count;
	return offset;
}

/*
 * Copy count children from index first on, which start at offset and end at
 * the offset that is returned.  The caller sees to it that the first one that
 * needs alignment gets the padding that it has.
 */
static uint32
copy_children(NvsJsonbWriter *w, const JsonbContainer *jc, uint32 first,
			  uint32 count, uint32 offset)
{
	Size		start = w->out->len - w->data;
	uint32		end = copy_entries(w, jc, first, count, offset,
								   (uint32) start - offset);
	Size		size = end - offset;

	if (start + size > NVS_JSONB_MAX_SIZE)
		nvs_jsonb_too_large();
	memcpy(nvs_jsonb_reserve(w->out, size), nvs_jsonb_data(jc) + offset, size);
	return end;
}

/*
 * Copy count children from index first on.  If they land on another alignment,
 * the first that needs it gets other padding; from there on they agree again.
 */
static void
copy_run(NvsJsonbWriter *w, Cursor *from, uint32 first, uint32 count)
{
	const JsonbContainer *jc = from->jc;
	uint32		offset = seek(from, first);
	uint32		stop = first + count;
	uint32		i = stop;

	if ((w->out->len - offset) % sizeof(uint32) != 0)
	{
		for (i = first; i < stop; i++)
		{
			if (NVS_JSONB_ALIGNED(jc->children[i] & JENTRY_TYPEMASK))
				break;
		}
	}
	offset = copy_children(w, jc, first, i - first, offset);
	if (i < stop)
	{
		nvs_jsonb_put(w, nvs_jsonb_child_at(jc, i, offset));
		offset = nvs_jsonb_child_end(jc, i, offset);
		i++;
		offset = copy_children(w, jc, i, stop - i, offset);
	}
	from->index = stop;
	from->offset = offset;
}

/* Write the keys; steps whose keys are neighbours are copied at once. */
static void
write_keys(NvsJsonbWriter *w, const Step *step, const Step *stop,
		   Cursor *target, Cursor *source)
{
	while (step < stop)
	{
		bool		from_target = key_from_target(step);
		uint32		first = from_target ? step->t : step->s;
		uint32		count = 0;

		do
		{
			count += step_pairs(step);
			step = next_step(step);
		} while (step < stop && key_from_target(step) == from_target &&
				 (from_target ? step->t : step->s) == first + count);
		copy_run(w, from_target ? target : source, first, count);
	}
}

/* Write the object that the steps make; its size as a child with padding. */
static Size
write_object(NvsJsonbOut *out, const Step *step, const Step *stop,
			 const JsonbContainer *target, const JsonbContainer *source)
{
	NvsJsonbWriter w;
	Cursor		t = {target, 0, 0};
	Cursor		s = {source, 0, 0};
	const Step *scan;
	uint32		nt = pairs_of(target);
	uint32		ns = pairs_of(source);
	Size		npairs = 0;

	check_stack_depth();
	CHECK_FOR_INTERRUPTS();
	for (scan = step; scan < stop; scan = next_step(scan))
		npairs += step_pairs(scan);
	nvs_jsonb_begin(&w, out, npairs);
	write_keys(&w, step, stop, &t, &s);
	for (; step < stop; step = next_step(step))
	{
		if (step->kind == STEP_KEEP)
			copy_run(&w, &t, nt + step->t, step->n);
		else if (step->kind == STEP_TAKE || step->kind == STEP_ADD)
			copy_run(&w, &s, ns + step->s, step->n);
		else
		{
			const JsonbContainer *below = NULL;
			Size		size;

			if (step->kind == STEP_MERGE)
				below = as_object(seek_child(&t, nt + step->t));
			size = write_object(out, step + 1, next_step(step), below,
								as_object(seek_child(&s, ns + step->s)));
			nvs_jsonb_put_entry(&w, JENTRY_ISCONTAINER, size);
		}
	}
	return nvs_jsonb_end(&w);
}

/*
 * Merge two objects, or make of the source alone what the mode says.  NULL if
 * the result is the target, or the source when there is no target.
 */
static Jsonb *
merge_objects(MergeMode mode, int depth, const Jsonb *target,
			  const Jsonb *source)
{
	const JsonbContainer *troot = target ? &target->root : NULL;
	Merge		m;
	Jsonb	   *result = NULL;

	m.mode = mode;
	m.depth = depth;
	m.steps = m.fixed;
	m.nsteps = 0;
	m.cap = FIXED_STEPS;
	if (plan_object(&m, troot, &source->root))
	{
		NvsJsonbOut out;
		Size		size = VARSIZE(source) + (target ? VARSIZE(target) : 0);

		/* Each step may need padding that its documents did not have. */
		nvs_jsonb_out_init(&out, size + (m.nsteps + 2) * sizeof(uint32));
		write_object(&out, m.steps, m.steps + m.nsteps, troot, &source->root);
		result = nvs_jsonb_out_finish(&out);
	}
	if (m.steps != m.fixed)
		pfree(m.steps);
	return result;
}

/* Is the root an object? */
static inline bool
root_is_object(const Jsonb *jb)
{
	return JsonContainerIsObject(&jb->root);
}

/*
 * The merge of an object into what may be one: result and whether it differs
 * from the target.
 */
static Jsonb *
merge_documents(MergeMode mode, int depth, const Jsonb *target,
				const Jsonb *source, bool *changed)
{
	Jsonb	   *result = merge_objects(mode, depth, target, source);

	if (changed)
		*changed = (result != NULL || target == NULL);
	if (result)
		return result;
	return unconstify(Jsonb *, target ? target : source);
}

/* The source takes the target's place: as it is, or the target if the same. */
static Jsonb *
replace_document(const Jsonb *target, const Jsonb *source, bool *changed)
{
	bool		same = target &&
		nvs_jsonb_same(nvs_jsonb_root(target), nvs_jsonb_root(source));

	if (changed)
		*changed = !same;
	return unconstify(Jsonb *, same ? target : source);
}

/* Merge as nvent.jsonb_deep_merge does; a NULL target is an empty object. */
Jsonb *
nvs_deep_merge(const Jsonb *target, const Jsonb *source, bool *changed)
{
	if (!root_is_object(source) || (target && !root_is_object(target)))
		return replace_document(target, source, changed);
	return merge_documents(MERGE_DEEP, ALL_LEVELS, target, source, changed);
}

/*
 * Merge objects into objects on that many levels, the root being one; what is
 * below replaces what was there, nulls included.
 */
Jsonb *
nvs_merge_depth(const Jsonb *target, const Jsonb *source, int depth,
				bool *changed)
{
	if (!root_is_object(source) || (target && !root_is_object(target)))
		return replace_document(target, source, changed);
	return merge_documents(MERGE_DEPTH, depth, target, source, changed);
}

/* Merge as RFC 7396 says; a NULL target is an absent one. */
Jsonb *
nvs_merge_patch(const Jsonb *target, const Jsonb *patch, bool *changed)
{
	Jsonb	   *result;

	if (!root_is_object(patch))
		return replace_document(target, patch, changed);
	if (target && root_is_object(target))
		return merge_documents(MERGE_PATCH, ALL_LEVELS, target, patch,
							   changed);
	result = merge_documents(MERGE_PATCH, ALL_LEVELS, NULL, patch, NULL);
	if (changed)
		*changed = true;
	return result;
}
