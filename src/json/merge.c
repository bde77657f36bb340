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

typedef enum MergeStepKind
{
	STEP_KEEP,					/* n pairs of the target from t on */
	STEP_TAKE,					/* key t of the target, value s of the source */
	STEP_MERGE,					/* key t, an object made by the next n steps */
	STEP_ADD,					/* n pairs of the source from s on */
	STEP_ADD_MERGED				/* key s, an object made by the next n steps */
} MergeStepKind;

typedef struct MergeStep
{
	MergeStepKind kind;
	uint32		t;
	uint32		s;
	uint32		n;
} MergeStep;

/* A place in a container that moves forward mostly: where a child starts. */
typedef struct MergeCursor
{
	const JsonbContainer *jc;
	uint32		index;
	uint32		offset;
} MergeCursor;

typedef struct Merge
{
	MergeMode	mode;
	int			depth;			/* levels yet to merge, of MERGE_DEPTH */
	MergeStep  *steps;
	uint32		nsteps;
	uint32		cap;
	MergeStep	fixed[FIXED_STEPS];
} Merge;

static bool merge_plan_nested(Merge *m, MergeStepKind kind,
							  const JsonbContainer *target,
							  const JsonbContainer *source, uint32 t, uint32 s);

/* Append a step; returns its index. */
static uint32
merge_add_step(Merge *m, MergeStepKind kind, uint32 t, uint32 s, uint32 n)
{
	MergeStep  *step;

	if (m->nsteps == m->cap)
	{
		Size		size = (Size) m->cap * 2 * sizeof(MergeStep);

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

/* Move the cursor to child index; returns where that starts. */
static inline uint32
merge_seek(MergeCursor *c, uint32 index)
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

/* Move the cursor to child index; returns that child. */
static inline NvsJsonbChild
merge_seek_child(MergeCursor *c, uint32 index)
{
	return nvs_jsonb_child_at(c->jc, index, merge_seek(c, index));
}

/* Pairs of an object; an absent one has none. */
static inline uint32
merge_pairs(const JsonbContainer *jc)
{
	return jc ? JsonContainerSize(jc) : 0;
}

/*
 * Move *pos forward to where the key is or belongs among n keys; returns
 * whether it is there.  Strides grow from gap, so near keys are found in few
 * steps and far ones in logarithmically many.
 */
static bool
merge_find_key(const JsonbContainer *jc, uint32 n, NvsJsonbChild key,
			   uint32 gap,
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
merge_as_object(NvsJsonbChild child)
{
	return nvs_jsonb_is_object(child) ? (const JsonbContainer *) child.data
		: NULL;
}

/*
 * Plan the value of a key that the target has as pair t and the source as
 * pair s.  Returns false, and leaves no step, if the value stays as it is.
 */
static bool
merge_plan_common(Merge *m, NvsJsonbChild old, NvsJsonbChild new,
				  uint32 t, uint32 s)
{
	const JsonbContainer *target = merge_as_object(old);
	const JsonbContainer *source = merge_as_object(new);

	if (source && (target || m->mode == MERGE_PATCH) && m->depth > 1)
	{
		if (merge_plan_nested(m, STEP_MERGE, target, source, t, s))
			return true;
		if (target)
			return false;
	}
	if (nvs_jsonb_same(old, new))
		return false;
	merge_add_step(m, STEP_TAKE, t, s, 1);
	return true;
}

/*
 * Plan pair s, whose key only the source has.  Returns false if the pair goes
 * in as it is: one more pair for the run of added pairs that step *run is, if
 * that is the last step.
 */
static bool
merge_plan_new(Merge *m, NvsJsonbChild value, uint32 s, uint32 *run)
{
	const JsonbContainer *source = merge_as_object(value);

	if (source && m->mode == MERGE_PATCH &&
		merge_plan_nested(m, STEP_ADD_MERGED, NULL, source, 0, s))
		return true;
	if (*run + 1 == m->nsteps && m->steps[*run].s + m->steps[*run].n == s)
		m->steps[*run].n++;
	else
		*run = merge_add_step(m, STEP_ADD, 0, s, 1);
	return false;
}

/* Note that the target's pairs from *kept up to t stay. */
static inline void
merge_flush_kept(Merge *m, uint32 *kept, uint32 t)
{
	if (t > *kept)
		merge_add_step(m, STEP_KEEP, *kept, 0, t - *kept);
	*kept = t;
}

/*
 * Plan the merge of source into target, or what becomes of source when there
 * is no target.  Returns false, with steps that the caller throws away, if the
 * result is the target, or the source when there is no target.
 */
static bool
merge_plan_object(Merge *m, const JsonbContainer *target,
				  const JsonbContainer *source)
{
	uint32		nt = merge_pairs(target);
	uint32		ns = merge_pairs(source);
	uint32		keyoff = 0;
	uint32		valoff = nvs_jsonb_offset(source, ns);
	MergeCursor old = {target, 0, 0};
	uint32		run = NO_STEP;
	uint32		kept = 0;		/* the first target pair without a step */
	uint32		t = 0;
	uint32		s;
	bool		changed = false;

	check_stack_depth();

	/* Keys of both are in one order, so t goes forward alone. */
	for (s = 0; s < ns; s++)
	{
		NvsJsonbChild key = nvs_jsonb_child_at(source, s, keyoff);
		NvsJsonbChild value = nvs_jsonb_child_at(source, ns + s, valoff);
		uint32		gap = (nt - t) / (ns - s);
		bool		found = merge_find_key(target, nt, key, gap, &t);
		uint32		mark = m->nsteps;
		uint32		kept_before = kept;
		bool		deletes = value.type == JENTRY_ISNULL &&
			m->mode != MERGE_DEPTH;

		CHECK_FOR_INTERRUPTS();
		keyoff = nvs_jsonb_child_end(source, s, keyoff);
		valoff = nvs_jsonb_child_end(source, ns + s, valoff);

		/* A key that only the source has. */
		if (!found && deletes)
		{
			/* None to delete; yet a source without it is another one. */
			changed |= (target == NULL);
			continue;
		}

		merge_flush_kept(m, &kept, t);
		if (!found)
		{
			if (merge_plan_new(m, value, s, &run) || target)
				changed = true;
			continue;
		}

		/* A key of both; the pair joins those that stay if it stays too. */
		if (deletes ||
			merge_plan_common(m, merge_seek_child(&old, nt + t), value, t, s))
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

	/* What the target has behind the last key of the source. */
	merge_flush_kept(m, &kept, nt);
	return changed;
}

/*
 * Plan an object below a step of that kind.  Returns false, and leaves no
 * step, if the object stays as it is.
 */
static bool
merge_plan_nested(Merge *m, MergeStepKind kind, const JsonbContainer *target,
				  const JsonbContainer *source, uint32 t, uint32 s)
{
	uint32		step = merge_add_step(m, kind, t, s, 0);
	bool		changed;

	m->depth--;
	changed = merge_plan_object(m, target, source);
	m->depth++;
	if (changed)
		m->steps[step].n = m->nsteps - step - 1;
	else
		m->nsteps = step;
	return changed;
}

/* The step after this one in the same object. */
static inline const MergeStep *
merge_next_step(const MergeStep *step)
{
	if (step->kind == STEP_MERGE || step->kind == STEP_ADD_MERGED)
		return step + step->n + 1;
	return step + 1;
}

/* Pairs that a step makes. */
static inline uint32
merge_step_pairs(const MergeStep *step)
{
	return step->kind == STEP_KEEP || step->kind == STEP_ADD ? step->n : 1;
}

/* Does the key come from the target? */
static inline bool
merge_key_from_target(const MergeStep *step)
{
	return step->kind != STEP_ADD && step->kind != STEP_ADD_MERGED;
}

/*
 * Copy whole strides of JEntrys, up to nstrides of them: lengths stay and the
 * offset that each starts with moves by shift.  Stops at a stride that has its
 * offset elsewhere; returns the number of JEntrys copied.
 */
static uint32
merge_copy_strides(JEntry *out, const JEntry *in, uint32 nstrides, uint32 shift)
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
 * starts at offset there and shift bytes further here.  Returns where the last
 * one ends there.
 */
static uint32
merge_copy_entries(NvsJsonbWriter *w, const JsonbContainer *jc, uint32 first,
				   uint32 count, uint32 offset, uint32 shift)
{
	const JEntry *in = &jc->children[first];
	JEntry	   *out = (JEntry *) (w->out->base + w->entries) + w->index;
	uint32		i;

	for (i = 0; i < count; i++)
	{
		JEntry		entry = in[i] & JENTRY_TYPEMASK;
		uint32		end = JBE_OFFLENFLD(in[i]);

		/* An entry has its length, or at each stride where it ends. */
		if (!JBE_HAS_OFF(in[i]))
			end += offset;
		if ((w->index + i) % JB_OFFSET_STRIDE != 0)
			entry |= end - offset;
		else
		{
			uint32		n = 0;

			/* Unless keys came or went before, offsets stand as they must. */
			if ((first + i) % JB_OFFSET_STRIDE == 0)
				n = merge_copy_strides(out + i, in + i,
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
 * the offset that is returned.  The first one that needs alignment must be on
 * a place where it gets the padding that it has.
 */
static uint32
merge_copy_children(NvsJsonbWriter *w, const JsonbContainer *jc, uint32 first,
					uint32 count, uint32 offset)
{
	Size		start = w->out->len - w->data;
	uint32		end = merge_copy_entries(w, jc, first, count, offset,
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
merge_copy_run(NvsJsonbWriter *w, MergeCursor *from, uint32 first, uint32 count)
{
	const JsonbContainer *jc = from->jc;
	uint32		offset = merge_seek(from, first);
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
	offset = merge_copy_children(w, jc, first, i - first, offset);
	if (i < stop)
	{
		nvs_jsonb_put(w, nvs_jsonb_child_at(jc, i, offset));
		offset = nvs_jsonb_child_end(jc, i, offset);
		i++;
		offset = merge_copy_children(w, jc, i, stop - i, offset);
	}
	from->index = stop;
	from->offset = offset;
}

/* Write the keys; steps whose keys are neighbours are copied at once. */
static void
merge_write_keys(NvsJsonbWriter *w, const MergeStep *step,
				 const MergeStep *stop,
				 MergeCursor *target, MergeCursor *source)
{
	while (step < stop)
	{
		bool		from_target = merge_key_from_target(step);
		uint32		first = from_target ? step->t : step->s;
		uint32		count = 0;

		do
		{
			count += merge_step_pairs(step);
			step = merge_next_step(step);
		} while (step < stop && merge_key_from_target(step) == from_target &&
				 (from_target ? step->t : step->s) == first + count);
		merge_copy_run(w, from_target ? target : source, first, count);
	}
}

/*
 * Write the object that the steps make: all keys, then all values.  Returns
 * its size as a child, padding included.
 */
static Size
merge_write_object(NvsJsonbOut *out, const MergeStep *step,
				   const MergeStep *stop,
				   const JsonbContainer *target, const JsonbContainer *source)
{
	NvsJsonbWriter w;
	MergeCursor t = {target, 0, 0};
	MergeCursor s = {source, 0, 0};
	const MergeStep *scan;
	uint32		nt = merge_pairs(target);
	uint32		ns = merge_pairs(source);
	Size		npairs = 0;

	check_stack_depth();
	CHECK_FOR_INTERRUPTS();

	/* Header and keys. */
	for (scan = step; scan < stop; scan = merge_next_step(scan))
		npairs += merge_step_pairs(scan);
	nvs_jsonb_begin(&w, out, npairs);
	merge_write_keys(&w, step, stop, &t, &s);

	/* Values. */
	for (; step < stop; step = merge_next_step(step))
	{
		if (step->kind == STEP_KEEP)
			merge_copy_run(&w, &t, nt + step->t, step->n);
		else if (step->kind == STEP_TAKE || step->kind == STEP_ADD)
			merge_copy_run(&w, &s, ns + step->s, step->n);
		else
		{
			const JsonbContainer *old = NULL;
			const JsonbContainer *new;
			Size		size;

			if (step->kind == STEP_MERGE)
				old = merge_as_object(merge_seek_child(&t, nt + step->t));
			new = merge_as_object(merge_seek_child(&s, ns + step->s));
			size = merge_write_object(out, step + 1, merge_next_step(step),
									  old, new);
			nvs_jsonb_put_entry(&w, JENTRY_ISCONTAINER, size);
		}
	}
	return nvs_jsonb_end(&w);
}

/*
 * Merge two objects, or make of the source alone what the mode says.  Returns
 * NULL if the result is the target, or the source when there is no target.
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
	if (merge_plan_object(&m, troot, &source->root))
	{
		NvsJsonbOut out;
		Size		size = VARSIZE(source) + (target ? VARSIZE(target) : 0);

		/* Each step may need padding that its documents did not have. */
		nvs_jsonb_out_init(&out, size + (m.nsteps + 2) * sizeof(uint32));
		merge_write_object(&out, m.steps, m.steps + m.nsteps, troot,
						   &source->root);
		result = nvs_jsonb_out_finish(&out);
	}
	if (m.steps != m.fixed)
		pfree(m.steps);
	return result;
}

/* Is the root an object? */
static inline bool
merge_root_is_object(const Jsonb *jb)
{
	return JsonContainerIsObject(&jb->root);
}

/*
 * The merge of an object into another one or, for NULL, into nothing.
 * *changed, where it is asked for, is whether it differs from the target.
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

/*
 * The source in the target's place, or the target if they are the same.
 * *changed, where it is asked for, is whether they differ.
 */
static Jsonb *
merge_replace(const Jsonb *target, const Jsonb *source, bool *changed)
{
	bool		same = target &&
		nvs_jsonb_same(nvs_jsonb_root(target), nvs_jsonb_root(source));

	if (changed)
		*changed = !same;
	return unconstify(Jsonb *, same ? target : source);
}

/* Merge as nvent.jsonb_deep_merge does; a NULL target is an empty object. */
Jsonb *
nvs_merge_deep(const Jsonb *target, const Jsonb *source, bool *changed)
{
	if (!merge_root_is_object(source) ||
		(target && !merge_root_is_object(target)))
		return merge_replace(target, source, changed);
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
	if (!merge_root_is_object(source) ||
		(target && !merge_root_is_object(target)))
		return merge_replace(target, source, changed);
	return merge_documents(MERGE_DEPTH, depth, target, source, changed);
}

/* Merge as RFC 7396 says; a NULL target is an absent one. */
Jsonb *
nvs_merge_patch(const Jsonb *target, const Jsonb *patch, bool *changed)
{
	Jsonb	   *result;

	if (!merge_root_is_object(patch))
		return merge_replace(target, patch, changed);
	if (target && merge_root_is_object(target))
		return merge_documents(MERGE_PATCH, ALL_LEVELS, target, patch,
							   changed);
	result = merge_documents(MERGE_PATCH, ALL_LEVELS, NULL, patch, NULL);
	if (changed)
		*changed = true;
	return result;
}
