-- The parts of a subject that groups of readers go by: its category, its id,
-- the cardinal id, and the member of a group that it belongs to, which never
-- changes.
\set VERBOSITY terse

-- The category, the id and the cardinal id of a subject.
SELECT s, n, nvent.subject_category(s, n), nvent.subject_id(s, n), nvent.subject_cardinal_id(s, n)
FROM unnest(ARRAY['a:b:c', 'a:b', 'a', 'a:b:c:d', 'a:b-c:d+e:f']) s, generate_series(1, 3) n ORDER BY s, n;
SELECT nvent.subject_category('shop:account:1:audit'), nvent.subject_id('shop:account:1:audit'), nvent.subject_cardinal_id('shop:account:1:audit');
SELECT nvent.subject_category(NULL) IS NULL AS none, nvent.subject_member(NULL, 2) IS NULL AS none;
SELECT nvent.subject_category('a:b', 0);
SELECT nvent.subject_cardinal_id('a:b', -1);

-- The hash does not change.
SELECT nvent.subject_member('shop:account:1', 7), nvent.subject_member('shop:other:1:audit', 7) AS same,
    nvent.subject_member('shop:account', 7), nvent.subject_member('shop:account:1', 40000);

-- What is no group.
SELECT nvent.subject_member('shop:share:1', 0);
