-- peer: UPDATE ... RETURNING of (name, total, updated_at)
\set f random(1, 1000)
UPDATE lean.counters SET total = total + 1, updated_at = now() WHERE name = 'flow' || :f::text RETURNING total;
