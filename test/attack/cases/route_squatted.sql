-- A route to a table that can have but one kept its owner from routing to it.
\c - :admin
CALL attack.allow('tenant');
\c - shopkeeper
CREATE TABLE shop.runs (id bigint PRIMARY KEY DEFAULT nvent.next_position('shop'), ts bigint, type text, run text, meta jsonb);
\c - tenant
SELECT nvent.route_add('stream', 'evil:runs:{run}', 'shop.runs');
\c - shopkeeper
SELECT nvent.route_add('stream', 'shop:runs:{run}', 'shop.runs');
SELECT CASE WHEN :'ERROR' THEN 'its owner cannot route to it' ELSE 'held' END;
