"""Events, consumers and jobs of nvent_store, with psycopg2.

events() follows a pattern, consume() is a worker's turn for consumers, work()
a worker of a queue.  Everything else is a query:

    cursor.execute("SELECT nvent.stream_append(%s, %s)", (subject, Json(event)))
"""

import contextlib
import random
import select
import time

import psycopg2
from psycopg2.extras import Json
from psycopg2.extensions import quote_ident

PAGE = 500


def _backoff(failures):
    """Seconds: 50 ms, and up to 2 s when it fails again and again."""
    time.sleep(min(0.05 * 2**failures, 2) * random.uniform(0.5, 1))


def events(dsn, pattern, after=None, store="nvent", poll_interval=1.0,
           stop=lambda: False):
    """Yield each event of a pattern once and in order, until stop() is true.

    They are those after a position, 0 being the beginning, or those that come
    from now on.  Takes a connection of its own, straight to the server: behind
    PgBouncer, LISTEN hears nothing, and events come after poll_interval.
    Connections that break are made again.
    """
    failures = 0
    while not stop():
        try:
            with contextlib.closing(psycopg2.connect(dsn)) as connection:
                connection.autocommit = True
                query = connection.cursor()
                query.execute("LISTEN " + quote_ident(f"{store}_events", query))
                if after is None:
                    query.execute("SELECT nvent.safe_position(%s)", (store,))
                    (after,) = query.fetchone()
                while not stop():
                    query.execute("SELECT next_cursor, events FROM nvent.stream_poll"
                                  "(%s, %s, %s)", (pattern, after, PAGE))
                    cursor, page = query.fetchone()
                    failures = 0
                    for event in page:
                        yield event
                        if stop():
                            return
                    after = cursor
                    if len(page) < PAGE:
                        _wait(connection, poll_interval)
        except (psycopg2.OperationalError, psycopg2.InterfaceError):
            _backoff(failures)
            failures += 1


def _wait(connection, seconds):
    """Until there is a notification, or the time is up."""
    connection.poll()
    if not connection.notifies:
        select.select([connection], [], [], seconds)
        connection.poll()
    connection.notifies.clear()


def consume(connection, handle, owner=None, lease="30 seconds", max_consumers=5,
            store=None):
    """A worker's turn: lease consumers that have work, and handle their events.

    handle(cursor, name, event) does what it does by that cursor, in the
    transaction of the acknowledgement: its effects happen once.  A consumer
    whose handle() raises is blocked, until consumer_unblock().  Returns how
    many events were handled; at 0 there was nothing to do.
    """
    handled = 0
    # In a transaction of its own: while that is open nobody else finds work.
    with connection, connection.cursor() as query:
        query.execute("SELECT name, token, upto, events FROM nvent.consumer_fetch"
                      "(max_consumers => %s, lease => %s, owner => %s, store => %s)",
                      (max_consumers, lease, owner, store))
        leases = query.fetchall()
    for name, token, upto, page in leases:
        try:
            with connection, connection.cursor() as query:
                for event in page or []:
                    handle(query, name, event)
                query.execute("SELECT nvent.consumer_ack(%s, %s, %s, store => %s)",
                              (name, token, upto, store))
            handled += len(page or [])
        except Exception as error:
            # NV002: the lease ran out, and the events are somebody else's.
            if getattr(error, "pgcode", None) == "NV002":
                continue
            if connection.closed:
                raise
            with connection, connection.cursor() as query:
                query.execute("SELECT nvent.consumer_block(%s, %s, %s, store => %s)",
                              (name, token, str(error), store))
    return handled


def work(dsn, queue, handle, batch=10, patience="1 minute", worker=None, store=None,
         stop=lambda: False):
    """Do the jobs of a queue until stop() is true.

    handle(job) returns what is kept as the job's output, or raises: then it is
    tried again, as the queue says.  A worker that waits polls nothing, and may
    be behind PgBouncer.  Connections that break are made again; jobs whose
    leases ran out meanwhile are somebody else's.
    """
    completed, failed, failures = [], [], 0
    while True:
        try:
            with contextlib.closing(psycopg2.connect(dsn)) as connection:
                connection.autocommit = True
                query = connection.cursor()
                while True:
                    last = stop()
                    query.execute("CALL nvent.queue_work_await(%s, %s, %s, %s, %s, %s, %s)",
                                  (queue, Json(completed), Json(failed),
                                   0 if last else batch, patience, worker, store))
                    (jobs,) = query.fetchone()
                    completed, failed, failures = [], [], 0
                    if last:
                        return
                    for job in jobs:
                        key = {"id": job["id"], "attempt": job["attempt"]}
                        try:
                            completed.append({**key, "output": handle(job)})
                        except Exception as error:
                            failed.append({**key, "error": {"message": str(error)}})
        except (psycopg2.OperationalError, psycopg2.InterfaceError):
            # What is not settled yet is settled next time; twice is no harm.
            _backoff(failures)
            failures += 1
