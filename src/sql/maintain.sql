-- What is to be done from time to time.  See src/worker/maintain.c.

CREATE FUNCTION nvent.maintain(budget integer DEFAULT 1000, store text DEFAULT NULL) RETURNS bigint
AS 'MODULE_PATHNAME', 'nvs_maintain'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION nvent.maintain(integer, text) IS 'one bounded pass: removes at most budget rows of expired keys and locks, of one store or, for NULL, of all, and returns how many; call it from time to time, in any number of sessions; nothing else depends on it; passes over tables on which the caller lacks SELECT, UPDATE or DELETE and rows that others have locked, and works on the others as their owners, so that their triggers get no rights of the caller''s; a key that expired in this hour may be left to a later pass; raises NV009 for a store that does not exist; example: SELECT nvent.maintain()';
