
-- Cron expressions.  See src/schedule/.

CREATE FUNCTION nvent.cron_next(
    expression text,
    time_zone text DEFAULT 'UTC',
    after timestamptz DEFAULT pg_catalog.now()
) RETURNS timestamptz
AS 'MODULE_PATHNAME', 'nvs_cron_next'
LANGUAGE C STABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION nvent.cron_next(text, text, timestamptz) IS
'Tells when a cron expression is due the next time after some point in time.

An expression has five fields with blanks between them, or six, with the second first: second 0 to
59, minute 0 to 59, hour 0 to 23, day of month 1 to 31, month 1 to 12 or `jan` to `dec`, day of week
0 to 7 or `sun` to `sat`, where 0 and 7 are Sunday. Without a second it is second 0. A field is `*`,
a value, a range `a-b`, or a list of these with commas; `/n` takes each n-th value of `*` or of a
range, and `a/n` each n-th from a on. Both fields of days may be `?`, which is `*`. Case does not
matter. A day of month may also be `L`, the last day; `L-n`, n days before it; `nW`, the day from
Monday to Friday of the same month that is nearest to day n; `LW`, the last one of them. A day of
week may also be `a#n`, the n-th a of the month, and `aL`, its last a. In place of the fields
there may be `@hourly`, `@daily`, `@midnight`, `@weekly` (on Sunday), `@monthly`, `@yearly` or
`@annually`.

When neither day of month nor day of week begins with `*` or `?`, a day matches that one of them
matches, as in every cron: `0 0 13 * 5` is each Friday and each 13th. Otherwise it has to match
both.

Where the clocks of the time zone are put forward or back, an expression whose hours are not all 24
is due when the clock shows or passes a time for the first time: a time that is left out is due at
the first instant after it (`30 2 * * *` at 3:00; several such times are due there once), and a time
that comes twice is due the first time only. One whose hours are all 24, as of `*/15 * * * *`, goes
on through both: it is due whenever the clock shows a time that it matches, so in the hour that comes
twice both times, and in one that is left out not.

Arguments:
  expression: at most 1,024 bytes
  time_zone: a name of pg_timezone_names, in any case; no POSIX specification such as UTC+2
  after: a point in time, itself excluded
Returns:
  the first time after it, in whole seconds; NULL beyond the end of timestamps, and for NULL
Raises:
  22023: the expression is none, DETAIL says which field and why; or names only days that none of
    its months has, as `0 0 30 2 *`; there is no such time zone; after is infinite
Example:
  SELECT nvent.cron_next(''30 2 * * *'', ''Europe/Berlin'', ''2026-03-28 12:00 UTC'');
  -- 2026-03-29 01:00:00+00';

CREATE FUNCTION nvent.schedule_preview(
    expression text,
    time_zone text DEFAULT 'UTC',
    after timestamptz DEFAULT pg_catalog.now(),
    max_count integer DEFAULT 10
) RETURNS SETOF timestamptz
AS 'MODULE_PATHNAME', 'nvs_schedule_preview'
LANGUAGE C STABLE STRICT PARALLEL SAFE
ROWS 10;

COMMENT ON FUNCTION nvent.schedule_preview(text, text, timestamptz, integer) IS
'Shows the next times at which a cron expression is due, as nvent.cron_next has them.

Arguments:
  expression: a cron expression
  time_zone: a name of pg_timezone_names
  after: a point in time, itself excluded
  max_count: how many times at most; 0 to 10,000
Returns:
  the times in order; fewer at the end of timestamps; none for NULL
Raises:
  22023: as nvent.cron_next; max_count is not from 0 to 10,000
Example:
  SELECT * FROM nvent.schedule_preview(''0 9 * * mon#1'', ''America/New_York'', max_count => 3);';
