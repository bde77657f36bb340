/*
 * schedule/zone.c
 *	  Time zones by name.
 */
#include "postgres.h"

#include "pgtime.h"

#include "schedule/cron.h"

/*
 * The zones of the IANA database whose names could be POSIX specifications as
 * well: in capitals, with a digit.
 */
static const char *const digit_zones[] = {
	"GMT0", "GMT+0", "GMT-0", "EST5EDT", "CST6CDT", "MST7MDT", "PST8PDT"
};

static bool zone_is_specification(const char *name);

/*
 * The time zone of a name, as in pg_timezone_names, in any case.  Raises 22023
 * for others.  PostgreSQL also takes POSIX specifications, in which "+2" is
 * west of Greenwich: whoever writes one means the other way more often than
 * not, and every zone that they can describe has a name.
 */
pg_tz *
nvs_cron_zone(const char *name)
{
	pg_tz	   *zone = pg_tzset(name);

	if (zone == NULL || zone_is_specification(pg_get_timezone_name(zone)))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("time zone \"%s\" not recognized", name),
				 errhint("Use a name of pg_timezone_names. A fixed offset has one, too: Etc/GMT-2 is two hours east of Greenwich.")));
	if (!pg_tz_acceptable(zone))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("time zone \"%s\" appears to use leap seconds", name),
				 errdetail("PostgreSQL does not support leap seconds.")));
	return zone;
}

/*
 * Has a zone no file, but its name been taken for a POSIX specification?  Such
 * a name was put into capitals, and it has a digit.
 */
static bool
zone_is_specification(const char *name)
{
	int			i;

	for (i = 0; i < lengthof(digit_zones); i++)
		if (strcmp(name, digit_zones[i]) == 0)
			return false;
	for (i = 0; name[i] != '\0'; i++)
		if (name[i] != pg_toupper((unsigned char) name[i]))
			return false;
	return strpbrk(name, "0123456789") != NULL;
}
