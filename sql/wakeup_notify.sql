-- What listeners get is ASCII, whatever a subject is made of: what cannot be
-- converted to the encoding of a listener ends its session.
--
-- Seen to fail with the subject as it is: the listener is gone.
SELECT nvent.store_create('wake');
SET nvent_store.notify = inline;
LISTEN wake_events;
SET client_encoding = latin1;

\o | sed 's/, "id".*//'
SELECT nvent.stream_append('wake:a:' || convert_from('\xc3a9e697a5f09f8e89', 'UTF8') || E'"\\\x01', '{"type": "a"}') ->> 'version' AS version;
\o
-- It is the same text.
SELECT '"\u00e9\u65e5\ud83c\udf89"'::jsonb #>> '{}' = convert_from('\xc3a9e697a5f09f8e89', 'UTF8') AS same;

-- The longest subjects fit.
\o /dev/null
SELECT nvent.stream_append(rpad('wake:a:', 1024, E'\x01'), '{"type": "a"}') -> 'version';
SELECT nvent.stream_append('wake:a:' || repeat(convert_from('\xf09f8e89', 'UTF8'), 254), '{"type": "a"}') -> 'version';
\o
UNLISTEN *;
RESET client_encoding;
RESET nvent_store.notify;
\set VERBOSITY terse
SET client_min_messages = warning;
SELECT nvent.store_migrate('wake', 0) > 0 AS dropped;

-- In a database whose encoding is not known, a subject that is not ASCII is
-- announced as any subject: who listens in UTF-8 goes on doing so.
--
-- Seen to fail with its bytes as they are: the listener is gone.
\set here :DBNAME
CREATE DATABASE regress_wakeup_bytes
	TEMPLATE template0 ENCODING SQL_ASCII LOCALE 'C';
\c regress_wakeup_bytes
SET client_min_messages = warning;
CREATE EXTENSION nvent_store;
SELECT nvent.store_create('wake');
SET nvent_store.notify = inline;
SET client_encoding = utf8;
LISTEN wake_events;
\o | sed 's/, "id".*//'
SELECT nvent.stream_append(E'wake:a:\xff', '{"type": "a"}') ->> 'version' AS version;
SELECT nvent.stream_append('wake:a:b', '{"type": "a"}') ->> 'version' AS version;
\o
SELECT 'still here' AS listener;
\c :here
DROP DATABASE regress_wakeup_bytes;
