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
	uint64		hash;			/* of a literal's node: see trie_hash_edge */
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
};

/* Where a lookup stands at one depth. */
typedef struct TrieStep
{
	const TrieNode *node;
	int			next;			/* the NvsTokenKind to try next */
} TrieStep;

/* One lookup. */
typedef struct TrieSearch
{
	const char *text;
	NvsSubject	subject;		/* its tokens */
	TrieStep	steps[NVS_SUBJECT_MAX_TOKENS + 1];	/* by depth */
	int			depth;			/* of the last hit */
	int			next;			/* depth to go on at; below 0 at the end */
	uint64		hashes[NVS_SUBJECT_MAX_TOKENS]; /* of the first tokens */
	int			nhashes;
} TrieSearch;

/*
 * A number of the first 8 bytes of a token, or of all when it has fewer; a
 * byte may go into it twice, but none is left out.
 */
static inline uint64
trie_load_bytes(const char *s, int len)
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

/* Hash of a token, taken eight bytes at a time. */
static uint64
trie_hash_token(const char *s, int len)
{
	const uint64 factor = UINT64CONST(0x9E3779B97F4A7C15);
	uint64		hash = (uint64) len * factor;

	for (; len > 8; s += 8, len -= 8)
	{
		hash = (hash ^ trie_load_bytes(s, 8)) * factor;
		hash ^= hash >> 32;
	}
	hash = (hash ^ trie_load_bytes(s, len)) * factor;
	return hash ^ (hash >> 32);
}

/* Hash of a literal edge, by the node that it leaves and its token's hash. */
static inline uint64
trie_hash_edge(const TrieNode *node, uint64 token)
{
	uint64		hash;

	hash = token ^ (uint64) (uintptr_t) node;
	hash *= UINT64CONST(0xD6E8FEB86659FD93);
	return hash ^ (hash >> 32);
}

/* The node behind a literal edge; NULL when node has none for this token. */
static TrieNode *
trie_find_literal(const NvsTrie *trie, const TrieNode *node, uint64 hash,
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

/* Enter the edge to child into a table that has room and lacks it. */
static void
trie_insert_edge(TrieEdge *edges, uint32 nbuckets, TrieNode *child)
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
trie_grow_edges(NvsTrie *trie)
{
	uint32		nbuckets = trie->nbuckets * 2;
	TrieEdge   *edges;
	uint32		i;

	edges = MemoryContextAllocZero(trie->context,
								   mul_size(nbuckets, sizeof(TrieEdge)));
	for (i = 0; i < trie->nbuckets; i++)
	{
		if (trie->edges[i].child != NULL)
			trie_insert_edge(edges, nbuckets, trie->edges[i].child);
	}
	pfree(trie->edges);
	trie->edges = edges;
	trie->nbuckets = nbuckets;
}

/* Make a node behind parent; its token is these bytes when it is a literal. */
static TrieNode *
trie_make_node(NvsTrie *trie, TrieNode *parent, const char *literal, int len)
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

/* The node behind the literal edge of this token, made if need be. */
static TrieNode *
trie_get_literal(NvsTrie *trie, TrieNode *node, const char *s, int len)
{
	uint64		hash = trie_hash_edge(node, trie_hash_token(s, len));
	TrieNode   *child = trie_find_literal(trie, node, hash, s, len);

	if (child != NULL)
		return child;
	if ((trie->nedges + 1) * 2 > trie->nbuckets)
		trie_grow_edges(trie);
	child = trie_make_node(trie, node, s, len);
	child->hash = hash;
	trie_insert_edge(trie->edges, trie->nbuckets, child);
	trie->nedges++;
	node->nliterals++;
	return child;
}

/*
 * Make an empty set, all of which is allocated in the context: it is freed
 * with that.
 */
NvsTrie *
nvs_trie_create(MemoryContext context)
{
	NvsTrie    *trie = MemoryContextAllocZero(context, sizeof(NvsTrie));

	trie->context = context;
	trie->nbuckets = FIRST_BUCKETS;
	trie->edges = MemoryContextAllocZero(context,
										 FIRST_BUCKETS * sizeof(TrieEdge));
	trie->root = trie_make_node(trie, NULL, NULL, 0);
	return trie;
}

/*
 * Where a pattern's payload belongs: NULL is there when it is new, whose nodes
 * are made.  The pattern itself is not kept.
 */
void	  **
nvs_trie_slot(NvsTrie *trie, const NvsPattern *pattern)
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
				node = trie_get_literal(trie, node,
										pattern->bytes + token->offset,
										token->len);
				break;
			case NVS_TOKEN_CAPTURE:
				if (node->capture == NULL)
					node->capture = trie_make_node(trie, node, NULL, 0);
				node = node->capture;
				break;
			case NVS_TOKEN_ONE:
				if (node->one == NULL)
					node->one = trie_make_node(trie, node, NULL, 0);
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
 * Add a pattern and its payload, not NULL, which a lookup returns.  The pattern
 * itself is not kept.  A pattern of the same shape that is there already is an
 * error, and stays.
 */
void
nvs_trie_add(NvsTrie *trie, const NvsPattern *pattern, void *payload)
{
	void	  **slot = nvs_trie_slot(trie, pattern);

	Assert(payload != NULL);
	if (*slot != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("subject pattern \"%s\" already exists",
						nvs_pattern_shape(pattern)),
				 errdetail("Patterns that differ only in the names of their captures are equal.")));
	*slot = payload;
}

/*
 * Hash of a subject's token d, for which those before it have been asked.  A
 * token is hashed once, for however many nodes, and kept in the search.
 */
static uint64
trie_token_hash(TrieSearch *search, int d)
{
	for (; search->nhashes <= d; search->nhashes++)
	{
		const NvsSpan *token = &search->subject.tokens[search->nhashes];

		search->hashes[search->nhashes] =
			trie_hash_token(search->text +token->offset, token->len);
	}
	return search->hashes[d];
}

/*
 * The node behind the literal edge that leaves node with a subject's token d;
 * NULL when there is none.
 */
static const TrieNode *
trie_follow_literal(const NvsTrie *trie, const TrieNode *node,
					TrieSearch *search, int d)
{
	const NvsSpan *token = &search->subject.tokens[d];

	if (node->nliterals == 0)
		return NULL;
	return trie_find_literal(trie, node,
							 trie_hash_edge(node, trie_token_hash(search, d)),
							 search->text +token->offset, token->len);
}

/* Begin to search a trie for a subject; false when s is none. */
static bool
trie_begin(const NvsTrie *trie, TrieSearch *search, const char *s, int len)
{
	if (!nvs_subject_split(s, len, &search->subject, NULL))
		return false;
	search->text = s;
	search->nhashes = 0;
	search->steps[0].node = trie->root;
	search->steps[0].next = NVS_TOKEN_LITERAL;
	search->next = 0;
	return true;
}

/*
 * Search depth first, from where the last hit was.  Returns the payload of the
 * next hit, whose depth is search->depth, or NULL; each step before it says by
 * "next" which edge was taken, the one before that.
 */
static void *
trie_search(const NvsTrie *trie, TrieSearch *search)
{
	int			d = search->next;

	while (d >= 0)
	{
		const TrieNode *node = search->steps[d].node;
		const TrieNode *child = NULL;
		void	   *found = NULL;

		/* All tokens were taken: a hit if a pattern ends here, too. */
		search->depth = d;
		if (d == search->subject.ntokens)
		{
			search->next = --d;
			if (node->payload != NULL)
				return node->payload;
			continue;
		}

		/* The next edge that may leave here, the most specific first. */
		switch (search->steps[d].next++)
		{
			case NVS_TOKEN_LITERAL:
				child = trie_follow_literal(trie, node, search, d);
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
				d--;			/* a dead end: back to its parent */
				break;
		}

		/* A token that takes the rest is a hit; else one step down. */
		if (found != NULL)
		{
			search->next = d;
			return found;
		}
		if (child != NULL)
		{
			d++;
			search->steps[d].node = child;
			search->steps[d].next = NVS_TOKEN_LITERAL;
		}
	}
	search->next = d;
	return NULL;
}

/*
 * The payload of the most specific pattern that matches the subject s; NULL
 * when there is none, or s is no subject.  Token by token from the left, a
 * literal goes before {name}, before *, before {name...}, before >.  captures
 * is NULL or has room for NVS_SUBJECT_MAX_TOKENS; *ncaptures of them are set,
 * in the order of the pattern.
 */
void *
nvs_trie_lookup(const NvsTrie *trie, const char *s, int len,
				NvsCapture *captures, int *ncaptures)
{
	TrieSearch	search;
	const NvsSpan *tokens = search.subject.tokens;
	void	   *payload;
	int			n = 0;
	int			d;

	/* The first hit is the most specific one. */
	if (!trie_begin(trie, &search, s, len))
		return NULL;
	payload = trie_search(trie, &search);
	if (payload == NULL || captures == NULL)
		return payload;

	/* The path to the hit says which tokens were captured. */
	for (d = 0; d <= search.depth && d < search.subject.ntokens; d++)
	{
		int			taken = search.steps[d].next - 1;

		if (taken == NVS_TOKEN_CAPTURE)
			captures[n++] = tokens[d];
		else if (taken == NVS_TOKEN_CAPTURE_REST)
		{
			captures[n].offset = tokens[d].offset;
			captures[n].len = len - tokens[d].offset;
			n++;
		}
	}
	*ncaptures = n;
	return payload;
}

/*
 * Call a function with the payload of each pattern that matches the subject s,
 * the most specific first, as nvs_trie_lookup() has it; not at all when s is no
 * subject.
 */
void
nvs_trie_each(const NvsTrie *trie, const char *s, int len,
			  void (*function) (void *payload, void *arg), void *arg)
{
	TrieSearch	search;
	void	   *payload;

	if (!trie_begin(trie, &search, s, len))
		return;
	while ((payload = trie_search(trie, &search)) != NULL)
		function(payload, arg);
}
