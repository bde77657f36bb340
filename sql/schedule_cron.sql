-- Cron expressions: when they are due, from cases that were worked out by hand
-- from what the comment of nvent.cron_next says and from the dates of zones'
-- changes; then random ones against a search through every minute and second.
-- Seen to fail without the latest local time before, without jumps, with jumps
-- for all hours too, and with weekdays and days that need not both match.
SET timezone = 'UTC';
\getenv abs_srcdir PG_ABS_SRCDIR
\set helpers :abs_srcdir '/sql/include/helpers.sql'
\i :helpers

-- An expression is due at these times after that one; each time is a case.
CREATE TEMP TABLE cases (
    n integer GENERATED ALWAYS AS IDENTITY,
    expression text,
    after timestamptz,
    due timestamptz[],
    zone text DEFAULT 'UTC'
);
-- Most of them are a file of their own, in lines; blanks would not show there.
\set cases `cat "$PG_ABS_SRCDIR/sql/include/cron_cases.txt"`
INSERT INTO cases (zone, expression, after, due)
SELECT p[1], p[2], p[3]::timestamptz, ('{' || p[4] || '}')::timestamptz[]
FROM regexp_split_to_table(:'cases', '\n') WITH ORDINALITY AS l (line, n),
    string_to_array(line, ' | ') AS p
WHERE line !~ '^(#|$)'
ORDER BY l.n;
INSERT INTO cases (expression, after, due) VALUES
    (' @DAILY ', '2026-01-01 00:00', '{2026-01-02}'),
    (E'\t5  4 \n* * *\r', '2026-01-01 00:00', '{2026-01-01 04:05}');

SELECT sum(cardinality(due)) >= 200 AS enough FROM cases;

-- Nothing but the cases that come out otherwise.
SELECT c.n, c.expression, c.zone, c.after, c.due, r.due AS got
FROM cases c CROSS JOIN LATERAL (
    SELECT array_agg(p ORDER BY n) FROM nvent.schedule_preview(
        c.expression, c.zone, c.after, cardinality(c.due)) WITH ORDINALITY AS p (p, n)
) AS r (due)
WHERE r.due IS DISTINCT FROM c.due
ORDER BY c.n;
SELECT c.n, c.expression, c.zone FROM cases c
WHERE nvent.cron_next(c.expression, c.zone, c.after) IS DISTINCT FROM c.due[1]
ORDER BY c.n;

-- What is no expression, no zone and no point in time.
CREATE FUNCTION pg_temp.refused(expression text, zone text DEFAULT 'UTC', after timestamptz DEFAULT now())
RETURNS text LANGUAGE sql AS $$
    SELECT concat_ws(' | ', code || ': ' || message, nullif(detail, ''), nullif(hint, ''))
    FROM pg_temp.error_of(format('nvent.cron_next(%L, %L, %L)', expression, zone, after))
$$;
\pset format unaligned
\pset tuples_only on
SELECT pg_temp.refused(e) FROM unnest(ARRAY[
    '', '   ', '* * * *', '* * * * * * *', '@every 90s', '@reboot', '@',
    '60 * * * *', '* 24 * * *', '* * 0 * *', '* * 32 * *', '* * * 0 *', '* * * 13 *', '* * * * 8', '61 * * * * *',
    '-1 * * * *', '1- * * * *', '1-60 * * * *', '30-10 * * * *', '* 22-2 * * *', '* * * * fri-mon', '* * * nov-feb *',
    '*/0 * * * *', '*/61 * * * *', '*/ * * * *', '* */25 * * *', '1//2 * * * *', '1,,2 * * * *', ',1 * * * *', '1, * * * *',
    '** * * * *', '*5 * * * *', '1-2-3 * * * *', '5 4 x * *', '* * * janu *', '* * * xyz *', '* * * * mond', '1.5 * * * *', '+1 * * * *',
    '99999999999999999999 * * * *', '? * * * *', '* ? * * *', '* * * ? *', '* * ?,1 * *', '* * ?/2 * *',
    'L * * * *', '* * L-31 * *', '* * L- * *', '* * 5L * *', '* * WL * *', '* * 0W * *', '* * 1-5W * *', '* * 1#1 * *',
    '* * * * L', '* * * * 1W', '* * * * 1#0', '* * * * 1#6', '* * * * 1#', '* * * * 1-5#2', '* * * * mon-friL', '* * * * #2',
    '0 0 30 2 *', '0 0 31 2,4,6,9,11 *', '0 0 30,31 2 ?', '0 0 31W 4 *', '0 0 L-29 2 *', '0 0 L-30 4 *',
    '5 4 * * ' || chr(228), E'5 4 * * *\x0b']) WITH ORDINALITY AS u (e, n)
ORDER BY n;
SELECT pg_temp.refused(repeat(' ', 1024) || '* * * * *');
SELECT pg_temp.refused(repeat(' ', 1015) || '* * * * *');
SELECT pg_temp.refused('@daily', z) FROM unnest(ARRAY['', 'Mars/Base', 'Europe', '+02:00', 'UTC+2', 'GMT+2', 'EST5', '<x>-3',
    '../UTC', 'Europe/Berlin ', 'CEST-2', 'EST5EDT,M3.2.0,M11.1.0', repeat('x', 300)]) WITH ORDINALITY AS u (z, n) ORDER BY n;
SELECT pg_temp.refused('@daily', after => 'infinity');
SELECT pg_temp.refused('@daily', after => '-infinity');
SELECT pg_temp.outcome('SELECT nvent.schedule_preview(''@daily'', max_count => -1)');
SELECT pg_temp.outcome('SELECT nvent.schedule_preview(''@daily'', max_count => 10001)');
SELECT pg_temp.outcome('SELECT nvent.schedule_preview(''* * * * * *'', max_count => 10000)');
SELECT pg_temp.outcome('SELECT nvent.schedule_preview(''@daily'', max_count => 0)');
\pset format aligned
\pset tuples_only off

-- Every other zone that PostgreSQL lists is one.
SELECT count(*) > 300 AS many, count(nvent.cron_next('0 12 * * *', name)) = count(*) AS "all" FROM pg_timezone_names;

-- NULL for NULL, and where timestamps end.
SELECT nvent.cron_next(NULL) IS NULL AS a, nvent.cron_next('@daily', NULL) IS NULL AS b, nvent.cron_next('@daily', 'UTC', NULL) IS NULL AS c,
    nvent.cron_next('0 0 1 1 *', after => '294276-06-01') IS NULL AS d, nvent.cron_next('* * * * * *', after => '294276-12-31 23:59:59') IS NULL AS e,
    nvent.cron_next('@hourly', after => '294276-12-31 22:30') AS f, (SELECT count(*) FROM nvent.schedule_preview(NULL)) AS g,
    (SELECT count(*) FROM nvent.schedule_preview('0 0 1 1 *', after => '294270-06-01')) AS h;
SELECT nvent.cron_next('@yearly', z, '4714-11-24 00:00 BC') FROM unnest(ARRAY['UTC', 'Pacific/Apia', 'Asia/Tokyo']) z;

-- Without arguments it is the next time from now on in UTC.
SELECT nvent.cron_next('@daily') = date_trunc('day', now()) + interval '1 day' AS tomorrow,
    (SELECT count(*) FROM nvent.schedule_preview('@daily')) AS preview;

-- Random expressions: what is due in some days around a change of clocks is what
-- a search through all of their minutes, or seconds, finds.  A clock shows times
-- one after the other, the latest of which may come to lie before later ones.
CREATE FUNCTION pg_temp.some(lowest integer, highest integer, most integer) RETURNS integer[] LANGUAGE sql AS $$
    SELECT array_agg(DISTINCT lowest + floor(random() * (highest - lowest + 1))::integer)
    FROM generate_series(0, floor(random() * most)::integer)
$$;
CREATE FUNCTION pg_temp.searched(seconds integer[], minutes integer[], hours integer[], days integer[], last_day boolean,
        months integer[], weekdays integer[], week integer, zone text, start timestamptz, span interval, step interval)
RETURNS timestamptz[] LANGUAGE sql AS $$
    WITH shown AS (
        SELECT t, t AT TIME ZONE zone AS local FROM generate_series(start - span / 2, start + span, step) AS t
    ), passed AS (
        SELECT *, max(local) OVER (ORDER BY t ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS latest FROM shown
    ), times AS (
        SELECT t, l FROM passed, generate_series(CASE WHEN cardinality(hours) = 24 THEN local ELSE latest + step END, local, step) AS l
        WHERE t > start
    )
    SELECT array_agg(DISTINCT t ORDER BY t) FROM times
    WHERE extract(second FROM l) = ANY (seconds) AND extract(minute FROM l) = ANY (minutes) AND extract(hour FROM l) = ANY (hours)
        AND extract(month FROM l) = ANY (months)
        AND CASE WHEN days IS NULL AND weekdays IS NULL THEN true
            ELSE coalesce(extract(day FROM l) = ANY (days) OR last_day AND extract(month FROM l + interval '1 day') <> extract(month FROM l), false)
                OR coalesce(extract(dow FROM l) = ANY (weekdays) AND coalesce(ceil(extract(day FROM l) / 7) = week, true), false) END
$$;
SELECT setseed(0.4);
CREATE TEMP TABLE random_cases AS
SELECT pg_temp.some(0, 59, 3) AS minutes,
    CASE WHEN n % 4 = 0 THEN ARRAY(SELECT generate_series(0, 23)) ELSE pg_temp.some(0, 3, 2) || pg_temp.some(4, 23, 2) END AS hours,
    CASE WHEN n % 3 > 0 THEN pg_temp.some(1, 31, 12) END AS days, n % 5 = 0 AND n % 3 > 0 AS last_day,
    CASE WHEN n % 2 = 0 THEN ARRAY(SELECT generate_series(1, 12)) ELSE pg_temp.some(1, 12, 10) END AS months,
    CASE WHEN n % 3 < 2 THEN pg_temp.some(0, 6, 3) END AS weekdays, CASE WHEN n % 7 = 0 THEN 1 + n % 5 END AS week,
    zone, start::timestamptz
FROM generate_series(1, 16) n, (VALUES
    ('Europe/Berlin', '2026-03-28 12:00'), ('Europe/Berlin', '2026-10-24 12:00'), ('America/New_York', '2026-10-31 12:00'),
    ('Australia/Lord_Howe', '2026-10-03 00:00'), ('Australia/Lord_Howe', '2026-04-04 00:00'),
    ('America/Sao_Paulo', '2018-11-03 12:00'), ('America/Sao_Paulo', '2018-02-17 12:00'), ('Asia/Kathmandu', '2026-05-31 12:00'),
    ('Pacific/Apia', '2011-12-29 12:00'), ('Africa/Casablanca', '2024-03-09 12:00'), ('Antarctica/Troll', '2026-10-24 12:00')) AS z (zone, start);
CREATE FUNCTION pg_temp.written(c random_cases, second text) RETURNS text LANGUAGE sql AS $$
    SELECT concat_ws(' ', second, array_to_string(c.minutes, ','), CASE WHEN cardinality(c.hours) = 24 THEN '*' ELSE array_to_string(c.hours, ',') END,
        coalesce(array_to_string(c.days, ',') || CASE WHEN c.last_day THEN ',L' ELSE '' END, '*'),
        CASE WHEN cardinality(c.months) = 12 THEN '*' ELSE array_to_string(c.months, ',') END,
        coalesce((SELECT string_agg(w || coalesce('#' || c.week, ''), ',') FROM unnest(c.weekdays) w), '*'))
$$;
CREATE FUNCTION pg_temp.due(expression text, zone text, start timestamptz, span interval) RETURNS timestamptz[] LANGUAGE sql AS $$
    SELECT array_agg(t ORDER BY t) FROM nvent.schedule_preview(expression, zone, start, 2000) t WHERE t <= start + span
$$;
CREATE TEMP TABLE compared AS
SELECT pg_temp.written(c, NULL) AS expression, c.zone, c.start,
    pg_temp.searched('{0}', minutes, hours, days, last_day, months, weekdays, week, zone, start, '60 hours', '1 minute') AS searched,
    pg_temp.due(pg_temp.written(c, NULL), zone, start, '60 hours') AS due
FROM random_cases c;
SELECT count(*) > 150 AS many, count(searched) > 50 AS found, sum(cardinality(searched)) > 500 AS times FROM compared;
SELECT * FROM compared WHERE searched IS DISTINCT FROM due;
TRUNCATE compared;
INSERT INTO compared
SELECT pg_temp.written(c, '0,1,29,59'), c.zone, c.start,
    pg_temp.searched('{0,1,29,59}', minutes, hours, days, last_day, months, weekdays, week, zone, start + shift, '3 hours', '1 second'),
    pg_temp.due(pg_temp.written(c, '0,1,29,59'), zone, start + shift, '3 hours')
FROM random_cases c CROSS JOIN LATERAL (SELECT CASE zone WHEN 'America/New_York' THEN interval '17 hours' ELSE '12 hours 30 minutes' END) AS s (shift)
WHERE zone ~ 'Berlin|New_York|Troll';
SELECT count(*) > 50 AS many, count(searched) > 5 AS found FROM compared;
SELECT * FROM compared WHERE searched IS DISTINCT FROM due;
