\set f random(1, 1000)
UPDATE nvent_flows SET stats_total = coalesce(stats_total, 0) + 1, version = version + 1, updated_at = now() WHERE flow_name = 'flow' || :f::text RETURNING stats_total;
