-- peer: UPDATE with jsonb_set of (key, id, doc, version, updated_at)
\set r random(1, 1000)
\set at random(1700000000000, 1800000000000)
UPDATE lean.entries SET doc = jsonb_set(doc, '{emittedEvents,step7,at}', to_jsonb(:at::bigint)), version = version + 1, updated_at = now() WHERE key = :list AND id = 'run' || :r::text RETURNING version;
