/*
 * test/hooks/failing.c
 *	  Has a process's commits of notifications fail, as where their queue is full.
 *
 *	nvs_failing.file	while it is there, no transaction commits in which the
 *						notifier notifies; each try adds a byte to it
 *
 * For test/t/064_worker_send.pl, which preloads it by its path.
 */
#include "postgres.h"

#include <unistd.h>

#include "access/xact.h"
#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "utils/backend_status.h"
#include "utils/guc.h"

PG_MODULE_MAGIC;

void		_PG_init(void);

static char *file = NULL;
static bool failed = false;

/* Raise an error before the notifier commits, while the file is there. */
static void
fail(XactEvent event, void *arg pg_attribute_unused())
{
	FILE	   *tries;
	bool		looks = failed;

	/* Behind an error the notifier looks whether the extension is there. */
	if (event == XACT_EVENT_PRE_COMMIT)
		failed = false;
	if (looks || event != XACT_EVENT_PRE_COMMIT || MyBgworkerEntry == NULL ||
		strcmp(MyBgworkerEntry->bgw_type, "nvent_store notifier") != 0 ||
		strcmp(MyBEEntry->st_activity_raw, "notify") != 0 ||
		file == NULL || access(file, F_OK) != 0)
		return;
	tries = fopen(file, "r+");
	if (tries != NULL)
	{
		fseek(tries, 0, SEEK_END);
		fputc('x', tries);
		fclose(tries);
	}
	failed = true;
	ereport(ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("too many notifications in the NOTIFY queue")));
}

/* Define the setting and set the hook. */
void
_PG_init(void)
{
	DefineCustomStringVariable("nvs_failing.file", "A file.", NULL, &file, "",
							   PGC_SIGHUP, 0, NULL, NULL, NULL);
	RegisterXactCallback(fail, NULL);
}
