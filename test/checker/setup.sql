-- What the checker works on: a store, a table that is written to by hand, and
-- the plain queries that it compares with.

CREATE EXTENSION IF NOT EXISTS nvent_store;
SELECT nvent.store_create('checker');
CREATE TABLE checker_hand (id bigint DEFAULT nvent.next_position('checker') PRIMARY KEY, ts bigint, type text, subject text, meta jsonb);
SELECT nvent.route_add('stream', 'checker:hand:>', 'checker_hand');
SELECT nvent.position_publish();

-- The first events above a position, of all tables, as they are.
CREATE FUNCTION checker_events(after bigint, count integer, OUT id bigint, OUT subject text, OUT version bigint, OUT n bigint) RETURNS SETOF record
LANGUAGE plpgsql AS $$
BEGIN
	RETURN QUERY EXECUTE (
		SELECT format('SELECT e.id, e.subject, e.version, (e.meta ->> ''n'')::bigint FROM (%s) e ORDER BY e.id LIMIT $2',
			string_agg(format('(SELECT id, subject, %s AS version, meta FROM %s WHERE id > $1 ORDER BY id LIMIT $2)', t.version, t.relation), ' UNION ALL '))
		FROM (SELECT 'version', s.relation::text FROM nvent.stream_tables('checker') s
			UNION ALL SELECT 'NULL::bigint', 'checker_hand') t (version, relation))
	USING after, count;
END $$;

-- What a reader gets that follows by "id > last".
CREATE FUNCTION checker_naive(after bigint, count integer, OUT next_cursor bigint, OUT id bigint, OUT subject text, OUT version bigint, OUT n bigint) RETURNS SETOF record
LANGUAGE sql AS $$
	SELECT greatest($1, max(e.id) OVER ()), e.id, e.subject, e.version, e.n
	FROM (SELECT) one LEFT JOIN checker_events($1, $2) e ON true
	ORDER BY e.id
$$;
