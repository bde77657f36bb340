-- peer: SELECT by key from (key, id, doc, version, updated_at)
\set r random(1, 1000)
SELECT doc FROM lean.entries WHERE key = :list AND id = 'run' || :r::text;
