/*
 * subject/trie.h
 *	  A set of subject patterns that finds those that match a subject.
 */
#ifndef NVS_SUBJECT_TRIE_H
#define NVS_SUBJECT_TRIE_H

#include "postgres.h"

#include "subject/subject.h"

typedef struct NvsTrie NvsTrie;

extern NvsTrie *nvs_trie_create(MemoryContext context);
extern void **nvs_trie_slot(NvsTrie *trie, const NvsPattern *pattern);
extern void nvs_trie_add(NvsTrie *trie, const NvsPattern *pattern,
						 void *payload);
extern void *nvs_trie_lookup(const NvsTrie *trie, const char *s, int len,
							 NvsCapture *captures, int *ncaptures);
extern void nvs_trie_each(const NvsTrie *trie, const char *s, int len,
						  void (*function) (void *payload, void *arg),
						  void *arg);

#endif							/* NVS_SUBJECT_TRIE_H */
