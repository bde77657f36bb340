/*
 * store/claim.h
 *	  Whether a first token is free to become a store's.
 */
#ifndef NVS_STORE_CLAIM_H
#define NVS_STORE_CLAIM_H

extern void nvs_claim_check(const char *prefix);

#endif							/* NVS_STORE_CLAIM_H */
