/*
 * base/subtransaction.h
 *	  Work that is undone unless it comes to something.
 */
#ifndef NVS_BASE_SUBTRANSACTION_H
#define NVS_BASE_SUBTRANSACTION_H

#include "postgres.h"

extern bool nvs_subtransaction(bool (*work) (void *arg), void *arg);

#endif							/* NVS_BASE_SUBTRANSACTION_H */
