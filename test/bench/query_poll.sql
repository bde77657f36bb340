\set page random(0, 49)
SELECT next_cursor, e FROM lean.pages, nvent.stream_poll(:queried::text || '>', after), unnest(events) AS e WHERE page = :page;
