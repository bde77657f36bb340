/*
 * subject/trie.c
 *	  A trie of pattern tokens that resolves one subject against many patterns.
 *
 * An edge is one token: a literal, a capture of one token, or "*".  A node's
 * depth is the number of tokens before it, so a lookup meets each node at most
 * once however often it turns back.  It tries the edges in the order of their
 * specificity, and hence its first hit is the most specific pattern.  Literal
 * edges of all nodes share one hash table, so a node with thousands of them
 * costs no more than one with two.  Patterns are only ever added; to take one
 * out, build another trie and drop the memory context of this one.
 */
#include "postgres.h"

#include "storage/shmem.h"
#include "utils/memutils.h"

#include "subject/trie.h"

#define FIRST_BUCKETS	64		/* a power of two, as every later size */

/* What follows one sequence of tokens. */
typedef struct TrieNode
{
	struct TrieNode *parent;
	struct TrieNode *capture;	/* behind {name} */
	struct TrieNode *one;		/* behind * */
	void	   *payload;		/* of the pattern that ends here, or NULL */
	void	   *capture_rest;	/* of the pattern that goes on as {name...} */
	void	   *rest;			/* of the pattern that goes on as > */
	uint64		hash;			/* of a literal's node: see edge_hash */
	int			nliterals;		/* literal edges that leave here */
	int			len;			/* of the literal that leads here */
	char		literal[FLEXIBLE_ARRAY_MEMBER];
} TrieNode;

/* A literal edge, in the table by its hash. */
typedef struct TrieEdge
{
	uint64		hash;
	TrieNode   *child;			/* NULL: the bucket is free */
} TrieEdge;

struct NvsTrie
{
	MemoryContext context;
	TrieNode   *root;
	TrieEdge   *edges;			/* open addressing, at most half full */
	uint32		nbuckets;
	uint32		nedges;
	int			npatterns;
};

/* Where a lookup stands at one depth. */
typedef struct TrieStep
{
	const TrieNode *node;
	int			next;			/* the NvsTokenKind to try next */
} TrieStep;

/* Load 0 to 8 bytes; some may be in it twice, but none is left out. */
static inline uint64
load_bytes(const char *s, int len)
{
	uint32		low;
	uint32		high;

	if (len == 0)
		return 0;
	if (len < 4)
		return (unsigned char) s[0] |
			(uint64) (unsigned char) s[len / 2] << 8 |
			(uint64) (unsigned char) s[len - 1] << 16;
	memcpy(&low, s, sizeof(low));
	memcpy(&high, s + len - sizeof(high), sizeof(high));
	return (uint64) high << 32 | low;
}

/* Hash a token, eight bytes at a time. */
static uint64
token_hash(const char *s, int len)
{
	const uint64 factor = UINT64CONST(0x9E3779B97F4A7C15);
	uint64		hash = (uint64) len * factor;

	for (; len > 8; s += 8, len -= 8)
	{
		hash = (hash ^ load_bytes(s, 8)) * factor;
		hash ^= hash >> 32;
	}
	hash = (hash ^ load_bytes(s, len)) * factor;
	return hash ^ (hash >> 32);
}

/* Hash an edge: which node it leaves, and its token's hash. */
static inline uint64
edge_hash(const TrieNode *node, uint64 token)
{
	uint64		hash;

	hash = token ^ (uint64) (uintptr_t) node;
	hash *= UINT64CONST(0xD6E8FEB86659FD93);
	return hash ^ (hash >> 32);
}

/* Follow a literal edge; NULL when the node has none for this token. */
static TrieNode *
find_literal(const NvsTrie *trie, const TrieNode *node, uint64 hash,
			 const char *s, int len)
{
	uint32		mask = trie->nbuckets - 1;
	uint32		i;

	for (i = (uint32) hash & mask; trie->edges[i].child != NULL;
		 i = (i + 1) & mask)
	{
		TrieNode   *child = trie->edges[i].child;

		if (trie->edges[i].hash == hash && child->parent == node &&
			child->len == len && memcmp(child->literal, s, len) == 0)
			return child;
	}
	return NULL;
}

/* Enter a literal edge that is not there, in a table with room for it. */
static void
insert_edge(TrieEdge *edges, uint32 nbuckets, TrieNode *child)
{
	uint32		mask = nbuckets - 1;
	uint32		i = (uint32) child->hash & mask;

	while (edges[i].child != NULL)
		i = (i + 1) & mask;
	edges[i].hash = child->hash;
	edges[i].child = child;
}

/* Double the table of literal edges. */
static void
grow_edges(NvsTrie *trie)
{
	uint32		nbuckets = trie->nbuckets * 2;
	TrieEdge   *edges;
	uint32		i;

	edges = MemoryContextAllocZero(trie->context,
								   mul_size(nbuckets, sizeof(TrieEdge)));
	for (i = 0; i < trie->nbuckets; i++)
	{
		if (trie->edges[i].child != NULL)
			insert_edge(edges, nbuckets, trie->edges[i].child);
	}
	pfree(trie->edges);
	trie->edges = edges;
	trie->nbuckets = nbuckets;
}

/* Make a node behind parent; literal is its token, or NULL. */
static TrieNode *
make_node(NvsTrie *trie, TrieNode *parent, const char *literal, int len)
{
	TrieNode   *node;

	node = MemoryContextAllocZero(trie->context,
								  offsetof(TrieNode, literal) + len);
	node->parent = parent;
	node->len = len;
	if (len > 0)
		memcpy(node->literal, literal, len);
	return node;
}

/* Follow a literal edge, making it if need be. */
static TrieNode *
get_literal(NvsTrie *trie, TrieNode *node, const char *s, int len)
{
	uint64		hash = edge_hash(node, token_hash(s, len));
	TrieNode   *child = find_literal(trie, node, hash, s, len);

	if (child != NULL)
		return child;
	if ((trie->nedges + 1) * 2 > trie->nbuckets)
		grow_edges(trie);
	child = make_node(trie, node, s, len);
	child->hash = hash;
	insert_edge(trie->edges, trie->nbuckets, child);
	trie->nedges++;
	node->nliterals++;
	return child;
}

/*
 * Make an empty set in the context, which is how it is freed; nothing of the
 * set lives elsewhere.
 */
NvsTrie *
nvs_trie_create(MemoryContext context)
{
	NvsTrie    *trie = MemoryContextAllocZero(context, sizeof(NvsTrie));

	trie->context = context;
	trie->nbuckets = FIRST_BUCKETS;
	trie->edges = MemoryContextAllocZero(context,
										 FIRST_BUCKETS * sizeof(TrieEdge));
	trie->root = make_node(trie, NULL, NULL, 0);
	return trie;
}

/*
 * Walk to the slot for the pattern's payload, making the nodes before it.
 */
static void **
payload_slot(NvsTrie *trie, const NvsPattern *pattern)
{
	TrieNode   *node = trie->root;
	int			t;

	/* A token that takes the rest is a slot of the node before it. */
	for (t = 0; t < pattern->ntokens; t++)
	{
		const NvsPatternToken *token = &pattern->tokens[t];

		switch ((NvsTokenKind) token->kind)
		{
			case NVS_TOKEN_LITERAL:
				node = get_literal(trie, node, pattern->bytes + token->offset,
								   token->len);
				break;
			case NVS_TOKEN_CAPTURE:
				if (node->capture == NULL)
					node->capture = make_node(trie, node, NULL, 0);
				node = node->capture;
				break;
			case NVS_TOKEN_ONE:
				if (node->one == NULL)
					node->one = make_node(trie, node, NULL, 0);
				node = node->one;
				break;
			case NVS_TOKEN_CAPTURE_REST:
				return &node->capture_rest;
			case NVS_TOKEN_REST:
				return &node->rest;
		}
	}
	return &node->payload;
}

/*
 * Add a pattern with what a lookup is to answer, which is not NULL.  The trie
 * keeps nothing of the pattern itself.  Raises an error, and changes nothing,
 * when a pattern of the same shape is there.
 */
void
nvs_trie_add(NvsTrie *trie, const NvsPattern *pattern, void *payload)
{
	void	  **slot = payload_slot(trie, pattern);

	Assert(payload != NULL);
	if (*slot != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("subject pattern \"%s\" exists already",
						nvs_pattern_shape(pattern)),
				 errdetail("Patterns that differ only in the names of their captures are equal.")));
	*slot = payload;
	trie->npatterns++;
}

/* How many patterns are in the set. */
int
nvs_trie_count(const NvsTrie *trie)
{
	return trie->npatterns;
}

/*
 * Search depth first.  Returns the payload of the first hit and leaves *depth
 * at its node; the steps before it have their next one beyond the edge taken.
 */
static void *
search(const NvsTrie *trie, const char *s, const NvsSubject *subject,
	   TrieStep *steps, int *depth)
{
	uint64		hashes[NVS_SUBJECT_MAX_TOKENS];
	int			nhashes = 0;
	int			d = 0;

	steps[0].node = trie->root;
	steps[0].next = NVS_TOKEN_LITERAL;
	while (d >= 0)
	{
		const TrieNode *node = steps[d].node;
		const NvsSpan *token = &subject->tokens[d];
		const TrieNode *child = NULL;
		void	   *found = NULL;

		*depth = d;
		if (d == subject->ntokens)
		{
			if (node->payload != NULL)
				return node->payload;
			d--;
			continue;
		}
		switch (steps[d].next++)
		{
			case NVS_TOKEN_LITERAL:
				if (node->nliterals == 0)
					break;
				/* A token is hashed once, for however many nodes. */
				for (; nhashes <= d; nhashes++)
				{
					const NvsSpan *next = &subject->tokens[nhashes];

					hashes[nhashes] = token_hash(s + next->offset, next->len);
				}
				child = find_literal(trie, node, edge_hash(node, hashes[d]),
									 s + token->offset, token->len);
				break;
			case NVS_TOKEN_CAPTURE:
				child = node->capture;
				break;
			case NVS_TOKEN_ONE:
				child = node->one;
				break;
			case NVS_TOKEN_CAPTURE_REST:
				found = node->capture_rest;
				break;
			case NVS_TOKEN_REST:
				found = node->rest;
				break;
			default:
				d--;			/* a dead end: try its parent's next edge */
				break;
		}
		if (found != NULL)
			return found;
		if (child != NULL)
		{
			d++;
			steps[d].node = child;
			steps[d].next = NVS_TOKEN_LITERAL;
		}
	}
	return NULL;
}

/*
 * Answer the payload of the most specific pattern that matches the subject,
 * or NULL, also for what is no subject.  Token by token from the left, a
 * literal goes before {name}, before *, before {name...}, before >.  captures
 * is NULL or has room for NVS_SUBJECT_MAX_TOKENS; *ncaptures of them are set,
 * in the order of the pattern.
 */
void *
nvs_trie_lookup(const NvsTrie *trie, const char *s, int len,
				NvsCapture *captures, int *ncaptures)
{
	NvsSubject	subject;
	TrieStep	steps[NVS_SUBJECT_MAX_TOKENS + 1];
	void	   *payload;
	int			depth;
	int			n = 0;
	int			d;

	if (!nvs_subject_split(s, len, &subject, NULL))
		return NULL;
	payload = search(trie, s, &subject, steps, &depth);
	if (payload == NULL || captures == NULL)
		return payload;

	/* The path to the hit says which tokens were captured. */
	for (d = 0; d <= depth && d < subject.ntokens; d++)
	{
		int			taken = steps[d].next - 1;

		if (taken == NVS_TOKEN_CAPTURE)
			captures[n++] = subject.tokens[d];
		else if (taken == NVS_TOKEN_CAPTURE_REST)
		{
			captures[n].offset = subject.tokens[d].offset;
			captures[n].len = len - subject.tokens[d].offset;
			n++;
		}
	}
	*ncaptures = n;
	return payload;
}
