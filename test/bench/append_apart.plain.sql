-- peer: a store whose appends take one lock
\set r random(1, 1000000)
SELECT peer.append(:many::text || :r::text, 'added', '{"n": 1}');
