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

-- Minutes and hours.  2026 begins on a Thursday.
INSERT INTO cases (expression, after, due) VALUES
    ('* * * * *', '2026-01-01 00:00:00', '{2026-01-01 00:01, 2026-01-01 00:02}'),
    ('* * * * *', '2026-01-01 00:00:59.999999', '{2026-01-01 00:01}'),
    ('* * * * *', '2026-01-01 00:00:00.000001', '{2026-01-01 00:01}'),
    ('* * * * *', '2025-12-31 23:59:59.999999', '{2026-01-01 00:00}'),
    ('0 * * * *', '2026-01-01 00:00', '{2026-01-01 01:00, 2026-01-01 02:00}'),
    ('59 23 31 12 *', '2026-01-01 00:00', '{2026-12-31 23:59, 2027-12-31 23:59}'),
    ('0 0 1 1 *', '2026-01-01 00:00', '{2027-01-01 00:00}'),
    ('0 0 1 1 *', '2025-12-31 23:59:59', '{2026-01-01 00:00}'),
    ('30 * * * *', '2026-01-01 10:29:59', '{2026-01-01 10:30, 2026-01-01 11:30}'),
    ('30 * * * *', '2026-01-01 10:30:00', '{2026-01-01 11:30}'),
    ('30 9 * * *', '2026-01-01 09:30', '{2026-01-02 09:30}'),
    ('30 9 * * *', '2026-01-01 09:29', '{2026-01-01 09:30}'),
    ('*/15 * * * *', '2026-01-01 10:07', '{2026-01-01 10:15, 2026-01-01 10:30, 2026-01-01 10:45, 2026-01-01 11:00}'),
    ('*/7 * * * *', '2026-01-01 10:49', '{2026-01-01 10:56, 2026-01-01 11:00, 2026-01-01 11:07}'),
    ('5/20 * * * *', '2026-01-01 10:00', '{2026-01-01 10:05, 2026-01-01 10:25, 2026-01-01 10:45, 2026-01-01 11:05}'),
    ('10-20/5 * * * *', '2026-01-01 10:12', '{2026-01-01 10:15, 2026-01-01 10:20, 2026-01-01 11:10}'),
    ('10-12 * * * *', '2026-01-01 10:11', '{2026-01-01 10:12, 2026-01-01 11:10}'),
    ('0,30 * * * *', '2026-01-01 10:15', '{2026-01-01 10:30, 2026-01-01 11:00}'),
    ('45,15 * * * *', '2026-01-01 10:15', '{2026-01-01 10:45, 2026-01-01 11:15}'),
    ('1-3,50-59/4 * * * *', '2026-01-01 10:03', '{2026-01-01 10:50, 2026-01-01 10:54, 2026-01-01 10:58, 2026-01-01 11:01}'),
    ('0 9-17 * * *', '2026-01-01 16:30', '{2026-01-01 17:00, 2026-01-02 09:00}'),
    ('0 */6 * * *', '2026-01-01 13:00', '{2026-01-01 18:00, 2026-01-02 00:00}'),
    ('0 */5 * * *', '2026-01-01 15:00', '{2026-01-01 20:00, 2026-01-02 00:00}'),
    ('0 8-18/4 * * *', '2026-01-01 12:00', '{2026-01-01 16:00, 2026-01-02 08:00}'),
    ('0 22,23,0,1 * * *', '2026-01-01 22:30', '{2026-01-01 23:00, 2026-01-02 00:00, 2026-01-02 01:00, 2026-01-02 22:00}'),
    ('*/60 * * * *', '2026-01-01 10:30', '{2026-01-01 11:00}'),
    ('0 */24 * * *', '2026-01-01 10:30', '{2026-01-02 00:00}'),
    ('00 09 01 01 *', '2026-01-01 00:00', '{2026-01-01 09:00}'),
    ('59/2 * * * *', '2026-01-01 10:30', '{2026-01-01 10:59, 2026-01-01 11:59}'),
    ('0-59 0-23 * * *', '2026-01-01 23:59', '{2026-01-02 00:00}');

-- Six fields begin with the second.
INSERT INTO cases (expression, after, due) VALUES
    ('* * * * * *', '2026-01-01 00:00:00', '{2026-01-01 00:00:01, 2026-01-01 00:00:02}'),
    ('* * * * * *', '2026-01-01 00:00:00.5', '{2026-01-01 00:00:01}'),
    ('*/10 * * * * *', '2026-01-01 00:00:55', '{2026-01-01 00:01:00, 2026-01-01 00:01:10}'),
    ('0 * * * * *', '2026-01-01 00:00:00', '{2026-01-01 00:01:00}'),
    ('59 59 23 * * *', '2026-01-01 00:00', '{2026-01-01 23:59:59, 2026-01-02 23:59:59}'),
    ('30 15 10 * * *', '2026-01-01 10:15:30', '{2026-01-02 10:15:30}'),
    ('30 15 10 * * *', '2026-01-01 10:15:29.9', '{2026-01-01 10:15:30}'),
    ('15,45 * 8 * * *', '2026-01-01 08:59:20', '{2026-01-01 08:59:45, 2026-01-02 08:00:15}'),
    ('20-22 0 0 1 1 *', '2026-01-01 00:00:21', '{2026-01-01 00:00:22, 2027-01-01 00:00:20}'),
    ('0 0 0 29 2 *', '2026-01-01 00:00', '{2028-02-29, 2032-02-29}'),
    ('50/5 30 12 * * *', '2026-01-01 12:30:51', '{2026-01-01 12:30:55, 2026-01-02 12:30:50}'),
    ('0 30 * * * 1', '2026-01-01 00:00', '{2026-01-05 00:30, 2026-01-05 01:30}');

-- Days of the month, and months that have them.
INSERT INTO cases (expression, after, due) VALUES
    ('0 0 31 * *', '2026-01-31 00:00', '{2026-03-31, 2026-05-31, 2026-07-31, 2026-08-31, 2026-10-31, 2026-12-31, 2027-01-31}'),
    ('0 0 30 * *', '2026-01-30 00:00', '{2026-03-30, 2026-04-30}'),
    ('0 0 29 * *', '2026-01-29 00:00', '{2026-03-29}'),
    ('0 0 29 * *', '2024-01-29 00:00', '{2024-02-29, 2024-03-29}'),
    ('0 0 1,15 * *', '2026-01-02 00:00', '{2026-01-15, 2026-02-01, 2026-02-15}'),
    ('0 0 */10 * *', '2026-01-21 00:00', '{2026-01-31, 2026-02-01, 2026-02-11, 2026-02-21, 2026-03-01}'),
    ('0 0 28-31 2 *', '2026-01-01 00:00', '{2026-02-28, 2027-02-28, 2028-02-28, 2028-02-29}'),
    ('0 0 * 2 *', '2026-02-28 00:00', '{2027-02-01}'),
    ('0 0 1 */3 *', '2026-01-01 00:00', '{2026-04-01, 2026-07-01, 2026-10-01, 2027-01-01}'),
    ('0 0 1 2/5 *', '2026-01-01 00:00', '{2026-02-01, 2026-07-01, 2026-12-01, 2027-02-01}'),
    ('0 0 10 6-8 *', '2026-08-10 00:00', '{2027-06-10}'),
    ('0 12 4 jul *', '2026-01-01 00:00', '{2026-07-04 12:00}'),
    ('0 0 1 JAN,Apr,jul,oCT *', '2026-01-01 00:00', '{2026-04-01, 2026-07-01, 2026-10-01, 2027-01-01}'),
    ('0 0 1 feb-apr *', '2026-01-01 00:00', '{2026-02-01, 2026-03-01, 2026-04-01, 2027-02-01}'),
    ('0 0 1 nov/1 *', '2026-01-01 00:00', '{2026-11-01, 2026-12-01, 2027-11-01}'),
    ('0 0 31 4-7 *', '2026-01-01 00:00', '{2026-05-31, 2026-07-31, 2027-05-31}');

-- Leap years, over the end of a century too.
INSERT INTO cases (expression, after, due) VALUES
    ('0 0 29 2 *', '2026-01-01 00:00', '{2028-02-29}'),
    ('0 0 29 2 *', '2028-02-29 00:00', '{2032-02-29}'),
    ('0 0 29 2 *', '2096-02-29 00:00', '{2104-02-29}'),
    ('0 0 29 2 *', '1896-02-29 00:00', '{1904-02-29}'),
    ('0 0 29 2 *', '1999-01-01 00:00', '{2000-02-29}'),
    ('0 0 28 2 *', '2028-02-28 00:00', '{2029-02-28}');

-- Days of the week; 2026-01-04 is a Sunday.
INSERT INTO cases (expression, after, due) VALUES
    ('0 0 * * 0', '2026-01-01 00:00', '{2026-01-04, 2026-01-11}'),
    ('0 0 * * 7', '2026-01-01 00:00', '{2026-01-04, 2026-01-11}'),
    ('0 0 * * sun', '2026-01-01 00:00', '{2026-01-04}'),
    ('0 0 * * 1', '2026-01-01 00:00', '{2026-01-05}'),
    ('0 0 * * 2', '2026-01-01 00:00', '{2026-01-06}'),
    ('0 0 * * 3', '2026-01-01 00:00', '{2026-01-07}'),
    ('0 0 * * 4', '2026-01-01 00:00', '{2026-01-08}'),
    ('0 0 * * 5', '2026-01-01 00:00', '{2026-01-02}'),
    ('0 0 * * 6', '2026-01-01 00:00', '{2026-01-03}'),
    ('0 0 * * 1-5', '2026-01-02 00:00', '{2026-01-05, 2026-01-06, 2026-01-07, 2026-01-08, 2026-01-09, 2026-01-12}'),
    ('0 0 * * MON-fri', '2026-01-02 00:00', '{2026-01-05}'),
    ('0 0 * * 5-7', '2026-01-01 00:00', '{2026-01-02, 2026-01-03, 2026-01-04, 2026-01-09}'),
    ('0 0 * * sat-sun', '2026-01-01 00:00', '{2026-01-03, 2026-01-04, 2026-01-10}'),
    ('0 0 * * 0-1', '2026-01-01 00:00', '{2026-01-04, 2026-01-05, 2026-01-11}'),
    ('0 0 * * 0-7', '2026-01-01 00:00', '{2026-01-02, 2026-01-03}'),
    ('0 0 * * */2', '2026-01-01 00:00', '{2026-01-03, 2026-01-04, 2026-01-06, 2026-01-08, 2026-01-10, 2026-01-11}'),
    ('0 0 * * 1/2', '2026-01-01 00:00', '{2026-01-02, 2026-01-05, 2026-01-07, 2026-01-09}'),
    ('0 0 * * mon,wed,fri', '2026-01-01 00:00', '{2026-01-02, 2026-01-05, 2026-01-07}'),
    ('0 0 * 3 1', '2026-01-01 00:00', '{2026-03-02, 2026-03-09, 2026-03-16, 2026-03-23, 2026-03-30, 2027-03-01}');

-- Both: either matches, unless one of them begins with "*" or "?".
INSERT INTO cases (expression, after, due) VALUES
    ('0 0 13 * 5', '2026-02-01 00:00', '{2026-02-06, 2026-02-13, 2026-02-20, 2026-02-27, 2026-03-06, 2026-03-13}'),
    ('0 0 13 * 5', '2026-04-10 00:00', '{2026-04-13, 2026-04-17}'),
    ('0 0 1,15 * 1', '2026-01-01 00:00', '{2026-01-05, 2026-01-12, 2026-01-15, 2026-01-19}'),
    ('0 0 29 2 1', '2026-02-01 00:00', '{2026-02-02, 2026-02-09, 2026-02-16, 2026-02-23, 2027-02-01}'),
    ('0 0 30 2 1', '2026-02-23 00:00', '{2027-02-01}'),
    ('0 0 */2 * 1', '2026-01-01 00:00', '{2026-01-05, 2026-01-19, 2026-02-09, 2026-02-23}'),
    ('0 0 13 * *', '2026-01-14 00:00', '{2026-02-13}'),
    ('0 0 13 * ?', '2026-01-14 00:00', '{2026-02-13}'),
    ('0 0 ? * 5', '2026-01-01 00:00', '{2026-01-02, 2026-01-09}'),
    ('0 0 ? * ?', '2026-01-01 00:00', '{2026-01-02}'),
    ('0 0 1-31 * 1', '2026-01-01 00:00', '{2026-01-02, 2026-01-03}'),
    ('0 0 13 * 0-6', '2026-01-01 00:00', '{2026-01-02}'),
    ('0 0 1 * */3', '2026-01-01 00:00', '{2026-02-01, 2026-03-01, 2026-04-01, 2026-07-01, 2026-08-01}');

-- Last days, weekdays near a day, weekdays of a week.
INSERT INTO cases (expression, after, due) VALUES
    ('0 0 L * *', '2026-01-01 00:00', '{2026-01-31, 2026-02-28, 2026-03-31, 2026-04-30}'),
    ('0 0 L 2 *', '2026-01-01 00:00', '{2026-02-28, 2027-02-28, 2028-02-29}'),
    ('0 0 l * ?', '2026-01-31 00:00', '{2026-02-28}'),
    ('0 0 L-1 * *', '2026-01-01 00:00', '{2026-01-30, 2026-02-27}'),
    ('0 0 L-30 * *', '2026-01-02 00:00', '{2026-03-01, 2026-05-01}'),
    ('0 0 L-28 2 *', '2026-01-01 00:00', '{2028-02-01}'),
    ('0 0 15,L * *', '2026-02-01 00:00', '{2026-02-15, 2026-02-28, 2026-03-15}'),
    ('0 0 LW * *', '2026-01-01 00:00', '{2026-01-30, 2026-02-27, 2026-03-31, 2026-04-30, 2026-05-29}'),
    ('0 0 15W * *', '2026-01-01 00:00', '{2026-01-15, 2026-02-16, 2026-03-16, 2026-04-15}'),
    ('0 0 15W 8 *', '2026-01-01 00:00', '{2026-08-14}'),
    ('0 0 1W * *', '2026-01-31 00:00', '{2026-02-02, 2026-03-02, 2026-04-01}'),
    ('0 0 1w 8 *', '2026-01-01 00:00', '{2026-08-03}'),
    ('0 0 31W * *', '2026-01-01 00:00', '{2026-01-30, 2026-03-31, 2026-05-29}'),
    ('0 0 30W 8 *', '2026-01-01 00:00', '{2026-08-31}'),
    ('0 0 28W 2 *', '2026-01-01 00:00', '{2026-02-27, 2027-02-26}'),
    ('0 0 ? * 1#1', '2026-01-01 00:00', '{2026-01-05, 2026-02-02, 2026-03-02, 2026-04-06}'),
    ('0 0 * * mon#1', '2026-01-05 00:00', '{2026-02-02}'),
    ('0 0 ? * 5#2', '2026-01-01 00:00', '{2026-01-09, 2026-02-13}'),
    ('0 0 ? * 4#5', '2026-01-01 00:00', '{2026-01-29, 2026-04-30, 2026-07-30, 2026-10-29, 2026-12-31}'),
    ('0 0 ? * 0#1', '2026-01-01 00:00', '{2026-01-04, 2026-02-01}'),
    ('0 0 ? * 7#1', '2026-01-01 00:00', '{2026-01-04, 2026-02-01}'),
    ('0 0 ? * 5L', '2026-01-01 00:00', '{2026-01-30, 2026-02-27, 2026-03-27}'),
    ('0 0 ? * friL', '2026-01-30 00:00', '{2026-02-27}'),
    ('0 0 ? * 0L', '2026-01-01 00:00', '{2026-01-25, 2026-02-22}'),
    ('0 0 ? * 7L', '2026-01-01 00:00', '{2026-01-25}'),
    ('0 0 ? * 2#1,2#3', '2026-01-01 00:00', '{2026-01-06, 2026-01-20, 2026-02-03, 2026-02-17}'),
    ('0 0 ? 2 1#5', '2026-01-01 00:00', '{2044-02-29, 2072-02-29}'),
    ('0 0 ? 2 0#5', '2088-01-01 00:00', '{2088-02-29 00:00, 2128-02-29}'),
    ('0 0 ? * 3,5#2', '2026-01-01 00:00', '{2026-01-07, 2026-01-09, 2026-01-14, 2026-01-21}'),
    ('0 0 L * 1#1', '2026-01-01 00:00', '{2026-01-05, 2026-01-31, 2026-02-02, 2026-02-28}');

-- Names, blanks, and what is left of a fraction before 2000.
INSERT INTO cases (expression, after, due) VALUES
    ('@hourly', '2026-01-01 10:30', '{2026-01-01 11:00}'),
    ('@daily', '2026-01-01 00:00', '{2026-01-02}'),
    ('@midnight', '2026-01-01 00:00', '{2026-01-02}'),
    ('@weekly', '2026-01-01 00:00', '{2026-01-04}'),
    ('@monthly', '2026-01-01 00:00', '{2026-02-01}'),
    ('@yearly', '2026-01-01 00:00', '{2027-01-01}'),
    ('@annually', '2026-01-01 00:00', '{2027-01-01}'),
    (' @DAILY ', '2026-01-01 00:00', '{2026-01-02}'),
    (E'\t5  4 \n* * *\r', '2026-01-01 00:00', '{2026-01-01 04:05}'),
    ('* * * * * *', '1969-12-31 23:59:58.5', '{1969-12-31 23:59:59, 1970-01-01 00:00:00}'),
    ('* * * * * *', '1999-12-31 23:59:58.5', '{1999-12-31 23:59:59, 2000-01-01 00:00:00}'),
    ('0 0 1 3 *', '1900-01-01 00:00', '{1900-03-01}'),
    ('0 0 * * 5', '1582-10-15 00:00', '{1582-10-22}'),
    ('0 0 1 1 *', '0001-06-01 00:00 BC', '{0001-01-01}'),
    ('0 0 1 1 *', '294275-06-01 00:00', '{294276-01-01}');

-- Zones whose clocks do not change, whole hours from UTC or not.
INSERT INTO cases (zone, expression, after, due) VALUES
    ('Asia/Kathmandu', '0 0 * * *', '2026-01-01 00:00+05:45', '{2026-01-02 00:00+05:45, 2026-01-03 00:00+05:45}'),
    ('Asia/Kathmandu', '0 * * * *', '2026-01-01 00:00Z', '{2026-01-01 00:15Z, 2026-01-01 01:15Z}'),
    ('Asia/Kathmandu', '*/15 * * * *', '2026-01-01 00:00Z', '{2026-01-01 00:15Z, 2026-01-01 00:30Z}'),
    ('Asia/Kathmandu', '0 0 * * 1', '2026-01-01 00:00Z', '{2026-01-04 18:15Z}'),
    ('Asia/Kathmandu', '@monthly', '2026-01-31 18:14:59Z', '{2026-01-31 18:15Z, 2026-02-28 18:15Z}'),
    ('Asia/Kolkata', '30 9 * * mon-fri', '2026-01-02 09:30+05:30', '{2026-01-05 09:30+05:30}'),
    ('Asia/Tokyo', '0 9 1 * *', '2026-01-31 23:59Z', '{2026-02-01 00:00Z}'),
    ('asia/tokyo', '0 9 1 * *', '2026-01-31 23:59Z', '{2026-02-01 00:00Z}'),
    ('Pacific/Kiritimati', '0 0 1 1 *', '2025-12-31 00:00Z', '{2025-12-31 10:00Z}'),
    ('Pacific/Pago_Pago', '0 0 1 1 *', '2025-12-31 12:00Z', '{2026-01-01 11:00Z}'),
    ('Etc/GMT-2', '0 12 * * *', '2026-01-01 00:00Z', '{2026-01-01 10:00Z}'),
    ('GMT', '0 12 * * *', '2026-01-01 00:00Z', '{2026-01-01 12:00Z}'),
    ('GMT+0', '0 12 * * *', '2026-01-01 00:00Z', '{2026-01-01 12:00Z}'),
    ('EST5EDT', '0 12 * * *', '2026-01-01 00:00Z', '{2026-01-01 17:00Z}');

-- Europe/Berlin: 2026-03-29 from 2:00 to 3:00, 2026-10-25 from 3:00 back to 2:00.
INSERT INTO cases (zone, expression, after, due) VALUES
    -- what is left out comes right behind, once
    ('Europe/Berlin', '30 2 * * *', '2026-03-28 00:00+01', '{2026-03-28 02:30+01, 2026-03-29 03:00+02, 2026-03-30 02:30+02}'),
    ('Europe/Berlin', '0 2 * * *', '2026-03-28 12:00+01', '{2026-03-29 03:00+02, 2026-03-30 02:00+02}'),
    ('Europe/Berlin', '59 2 * * *', '2026-03-28 12:00+01', '{2026-03-29 03:00+02, 2026-03-30 02:59+02}'),
    ('Europe/Berlin', '*/15 2 * * *', '2026-03-28 12:00+01', '{2026-03-29 03:00+02, 2026-03-30 02:00+02}'),
    ('Europe/Berlin', '30 1-3 * * *', '2026-03-29 00:00+01', '{2026-03-29 01:30+01, 2026-03-29 03:00+02, 2026-03-29 03:30+02}'),
    ('Europe/Berlin', '0 2,3 * * *', '2026-03-29 00:00+01', '{2026-03-29 03:00+02, 2026-03-30 02:00+02}'),
    ('Europe/Berlin', '30 2 29 3 *', '2026-03-01 00:00+01', '{2026-03-29 03:00+02, 2027-03-29 02:30+02}'),
    ('Europe/Berlin', '30 2 * * 0', '2026-03-23 00:00+01', '{2026-03-29 03:00+02, 2026-04-05 02:30+02}'),
    ('Europe/Berlin', '30 2 29 * *', '2026-03-29 01:59:59+01', '{2026-03-29 03:00+02}'),
    ('Europe/Berlin', '30 2 29 * *', '2026-03-29 03:00+02', '{2026-04-29 02:30+02}'),
    ('Europe/Berlin', '15 30 2 * * *', '2026-03-28 12:00+01', '{2026-03-29 03:00:00+02, 2026-03-30 02:30:15+02}'),
    ('Europe/Berlin', '0 */2 * * *', '2026-03-28 23:30+01', '{2026-03-29 00:00+01, 2026-03-29 03:00+02, 2026-03-29 04:00+02}'),
    ('Europe/Berlin', '0 3 * * *', '2026-03-29 01:59:59+01', '{2026-03-29 03:00+02, 2026-03-30 03:00+02}'),
    ('Europe/Berlin', '59 1 * * *', '2026-03-28 12:00+01', '{2026-03-29 01:59+01, 2026-03-30 01:59+02}'),
    -- with all hours it does not
    ('Europe/Berlin', '30 * * * *', '2026-03-29 01:00+01', '{2026-03-29 01:30+01, 2026-03-29 03:30+02}'),
    ('Europe/Berlin', '*/15 * * * *', '2026-03-29 01:30+01', '{2026-03-29 01:45+01, 2026-03-29 03:00+02, 2026-03-29 03:15+02}'),
    ('Europe/Berlin', '0 0-23 * * *', '2026-03-29 01:00+01', '{2026-03-29 03:00+02, 2026-03-29 04:00+02}'),
    ('Europe/Berlin', '@hourly', '2026-03-29 00:59+01', '{2026-03-29 01:00+01, 2026-03-29 03:00+02}'),
    -- what comes twice is due the first time
    ('Europe/Berlin', '30 2 * * *', '2026-10-24 12:00+02', '{2026-10-25 02:30+02, 2026-10-26 02:30+01}'),
    ('Europe/Berlin', '30 2 * * *', '2026-10-25 02:30+02', '{2026-10-26 02:30+01}'),
    ('Europe/Berlin', '30 2 * * *', '2026-10-25 02:15+01', '{2026-10-26 02:30+01}'),
    ('Europe/Berlin', '0 2 * * *', '2026-10-25 01:59+02', '{2026-10-25 02:00+02, 2026-10-26 02:00+01}'),
    ('Europe/Berlin', '0 3 * * *', '2026-10-25 02:59:59+02', '{2026-10-25 03:00+01}'),
    ('Europe/Berlin', '*/20 2 * * *', '2026-10-25 02:20+02', '{2026-10-25 02:40+02, 2026-10-26 02:00+01}'),
    ('Europe/Berlin', '30 1-3 * * *', '2026-10-25 00:00+02', '{2026-10-25 01:30+02, 2026-10-25 02:30+02, 2026-10-25 03:30+01}'),
    ('Europe/Berlin', '0 */2 * * *', '2026-10-25 00:00+02', '{2026-10-25 02:00+02, 2026-10-25 04:00+01}'),
    -- and with all hours both times
    ('Europe/Berlin', '30 * * * *', '2026-10-25 01:45+02', '{2026-10-25 02:30+02, 2026-10-25 02:30+01, 2026-10-25 03:30+01}'),
    ('Europe/Berlin', '*/30 * * * *', '2026-10-25 02:30+02', '{2026-10-25 02:00+01, 2026-10-25 02:30+01, 2026-10-25 03:00+01}'),
    ('Europe/Berlin', '@hourly', '2026-10-25 02:59+02', '{2026-10-25 02:00+01, 2026-10-25 03:00+01}'),
    ('Europe/Berlin', '* * * * * *', '2026-10-25 02:59:59+02', '{2026-10-25 02:00:00+01, 2026-10-25 02:00:01+01}'),
    -- in 1947 summer time was put forward once more: 05-11 from 3:00 to 4:00
    ('Europe/Berlin', '30 3 * * *', '1947-05-10 12:00+02', '{1947-05-11 04:00+03, 1947-05-12 03:30+03}');

-- America/New_York: 2026-03-08 from 2:00 to 3:00, 2026-11-01 from 2:00 back to 1:00.
INSERT INTO cases (zone, expression, after, due) VALUES
    ('America/New_York', '30 2 * * *', '2026-03-07 12:00-05', '{2026-03-08 03:00-04, 2026-03-09 02:30-04}'),
    ('America/New_York', '0 9 * * mon#2', '2026-03-01 00:00-05', '{2026-03-09 09:00-04, 2026-04-13 09:00-04}'),
    ('America/New_York', '30 1 * * *', '2026-10-31 12:00-04', '{2026-11-01 01:30-04, 2026-11-02 01:30-05}'),
    ('America/New_York', '30 1 1 11 *', '2026-11-01 01:45-04', '{2027-11-01 01:30-04}'),
    ('America/New_York', '0 1,2 * * *', '2026-11-01 00:30-04', '{2026-11-01 01:00-04, 2026-11-01 02:00-05}'),
    ('America/New_York', '*/30 * * * *', '2026-11-01 01:00-04', '{2026-11-01 01:30-04, 2026-11-01 01:00-05, 2026-11-01 01:30-05, 2026-11-01 02:00-05}'),
    ('America/New_York', '0 0 * * *', '2026-10-31 12:00-04', '{2026-11-01 00:00-04, 2026-11-02 00:00-05}'),
    ('America/New_York', '0 17 L * *', '2026-02-01 00:00-05', '{2026-02-28 17:00-05, 2026-03-31 17:00-04}');

-- Australia/Lord_Howe, by half an hour: 2026-10-04 from 2:00 to 2:30, 2026-04-05
-- from 2:00 back to 1:30.
INSERT INTO cases (zone, expression, after, due) VALUES
    ('Australia/Lord_Howe', '15 2 * * *', '2026-10-03 12:00+10:30', '{2026-10-04 02:30+11, 2026-10-05 02:15+11}'),
    ('Australia/Lord_Howe', '0 2 * * *', '2026-10-03 12:00+10:30', '{2026-10-04 02:30+11, 2026-10-05 02:00+11}'),
    ('Australia/Lord_Howe', '30 2 * * *', '2026-10-03 12:00+10:30', '{2026-10-04 02:30+11, 2026-10-05 02:30+11}'),
    ('Australia/Lord_Howe', '*/15 2 * * *', '2026-10-03 12:00+10:30', '{2026-10-04 02:30+11, 2026-10-04 02:45+11, 2026-10-05 02:00+11}'),
    ('Australia/Lord_Howe', '15 * * * *', '2026-10-04 01:00+10:30', '{2026-10-04 01:15+10:30, 2026-10-04 03:15+11}'),
    ('Australia/Lord_Howe', '45 * * * *', '2026-10-04 01:00+10:30', '{2026-10-04 01:45+10:30, 2026-10-04 02:45+11}'),
    ('Australia/Lord_Howe', '45 1 * * *', '2026-04-04 12:00+11', '{2026-04-05 01:45+11, 2026-04-06 01:45+10:30}'),
    ('Australia/Lord_Howe', '15 1 * * *', '2026-04-04 12:00+11', '{2026-04-05 01:15+11, 2026-04-06 01:15+10:30}'),
    ('Australia/Lord_Howe', '45 * * * *', '2026-04-05 01:00+11', '{2026-04-05 01:45+11, 2026-04-05 01:45+10:30, 2026-04-05 02:45+10:30}'),
    ('Australia/Lord_Howe', '0 2 * * *', '2026-04-05 01:45+11', '{2026-04-05 02:00+10:30}');

-- America/Sao_Paulo, at midnight: 2018-11-04 from 0:00 to 1:00, 2018-02-18 from
-- 0:00 back to 23:00 of the day before.
INSERT INTO cases (zone, expression, after, due) VALUES
    ('America/Sao_Paulo', '0 0 * * *', '2018-11-03 00:00-03', '{2018-11-04 01:00-02, 2018-11-05 00:00-02}'),
    ('America/Sao_Paulo', '@daily', '2018-11-03 12:00-03', '{2018-11-04 01:00-02}'),
    ('America/Sao_Paulo', '30 0 * * 0', '2018-11-01 00:00-03', '{2018-11-04 01:00-02, 2018-11-11 00:30-02}'),
    ('America/Sao_Paulo', '0 0 4 11 *', '2018-11-01 00:00-03', '{2018-11-04 01:00-02, 2019-11-04 00:00-03}'),
    ('America/Sao_Paulo', '0 * * * *', '2018-11-03 22:30-03', '{2018-11-03 23:00-03, 2018-11-04 01:00-02}'),
    ('America/Sao_Paulo', '30 * * * *', '2018-11-03 23:00-03', '{2018-11-03 23:30-03, 2018-11-04 01:30-02}'),
    ('America/Sao_Paulo', '30 23 * * *', '2018-02-16 12:00-02', '{2018-02-16 23:30-02, 2018-02-17 23:30-02, 2018-02-18 23:30-03}'),
    ('America/Sao_Paulo', '0 0 * * *', '2018-02-17 12:00-02', '{2018-02-18 00:00-03, 2018-02-19 00:00-03}'),
    ('America/Sao_Paulo', '30 * * * *', '2018-02-17 23:00-02', '{2018-02-17 23:30-02, 2018-02-17 23:30-03, 2018-02-18 00:30-03}');

-- Pacific/Apia had no 2011-12-30, a Friday.
INSERT INTO cases (zone, expression, after, due) VALUES
    ('Pacific/Apia', '0 12 * * *', '2011-12-29 00:00-10', '{2011-12-29 12:00-10, 2011-12-31 00:00+14, 2011-12-31 12:00+14}'),
    ('Pacific/Apia', '0 0 * * *', '2011-12-28 12:00-10', '{2011-12-29 00:00-10, 2011-12-31 00:00+14, 2012-01-01 00:00+14}'),
    ('Pacific/Apia', '0 12 30 12 *', '2011-01-01 00:00-10', '{2011-12-31 00:00+14, 2012-12-30 12:00+14}'),
    ('Pacific/Apia', '0 12 * * 5', '2011-12-23 12:00-10', '{2011-12-31 00:00+14, 2012-01-06 12:00+14}'),
    ('Pacific/Apia', '0 8,20 * * *', '2011-12-29 12:00-10', '{2011-12-29 20:00-10, 2011-12-31 00:00+14, 2011-12-31 08:00+14}'),
    ('Pacific/Apia', '0 * * * *', '2011-12-29 22:30-10', '{2011-12-29 23:00-10, 2011-12-31 00:00+14}'),
    ('Pacific/Apia', '0 * 30 12 *', '2011-12-29 00:00-10', '{2012-12-30 00:00+14}');

-- Africa/Casablanca goes back for Ramadan: 2024-03-10 from 3:00 to 2:00, 2024-04-14
-- from 2:00 to 3:00.
INSERT INTO cases (zone, expression, after, due) VALUES
    ('Africa/Casablanca', '30 2 * * *', '2024-03-09 12:00+01', '{2024-03-10 02:30+01, 2024-03-11 02:30+00}'),
    ('Africa/Casablanca', '30 2 * * *', '2024-04-13 12:00+00', '{2024-04-14 03:00+01, 2024-04-15 02:30+01}'),
    ('Africa/Casablanca', '30 * * * *', '2024-03-10 02:00+01', '{2024-03-10 02:30+01, 2024-03-10 02:30+00, 2024-03-10 03:30+00}'),
    ('Africa/Casablanca', '0 12 * * *', '2024-03-09 12:00+01', '{2024-03-10 12:00+00}');

-- Europe/Dublin, whose winter is the exception; Antarctica/Troll, by two hours;
-- Asia/Pyongyang and America/Caracas, which moved by half an hour for good.
INSERT INTO cases (zone, expression, after, due) VALUES
    ('Europe/Dublin', '30 1 * * *', '2026-03-28 12:00Z', '{2026-03-29 02:00+01, 2026-03-30 01:30+01}'),
    ('Europe/Dublin', '30 1 * * *', '2026-10-24 12:00Z', '{2026-10-25 01:30+01, 2026-10-26 01:30+00}'),
    ('Antarctica/Troll', '30 1 * * *', '2026-03-28 12:00Z', '{2026-03-29 03:00+02, 2026-03-30 01:30+02}'),
    ('Antarctica/Troll', '30 2 * * *', '2026-10-24 12:00Z', '{2026-10-25 02:30+02, 2026-10-26 02:30+00}'),
    ('Antarctica/Troll', '0 * * * *', '2026-10-25 02:30+02', '{2026-10-25 01:00Z, 2026-10-25 02:00Z, 2026-10-25 03:00Z}'),
    ('America/Havana', '0 0 * * *', '2024-03-09 12:00-05', '{2024-03-10 01:00-04, 2024-03-11 00:00-04}'),
    ('America/Havana', '30 0 * * *', '2024-11-02 12:00-04', '{2024-11-03 00:30-04, 2024-11-04 00:30-05}'),
    ('Asia/Pyongyang', '15 0 * * *', '2018-05-04 12:00+08:30', '{2018-05-05 00:15+09, 2018-05-06 00:15+09}'),
    ('Asia/Pyongyang', '45 23 * * *', '2018-05-03 12:00+08:30', '{2018-05-03 23:45+08:30, 2018-05-05 00:00+09, 2018-05-05 23:45+09}'),
    ('America/Caracas', '45 2 * * *', '2016-04-30 12:00-04:30', '{2016-05-01 03:00-04, 2016-05-02 02:45-04}');

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
