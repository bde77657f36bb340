"""Each event once and in order, effects of consumers once, and each job done,
while connections are killed.  Takes a server with the extension, which PGHOST
and the like name.

Seen to fail: when events() does not go on from the cursor of a page, events
come twice; when consume() acknowledges in a transaction of its
own, effects happen twice; when work() forgets what it has done when its
connection breaks, jobs are not settled; without LISTEN, being told takes as long
as poll_interval.
"""

import contextlib
import threading
import time
import unittest

import psycopg2
from psycopg2.extras import Json

from nvent_events import consume, events, work

VICTIM = "application_name=victim"


def sql(text, *values):
    with contextlib.closing(psycopg2.connect("")) as connection:
        connection.autocommit = True
        with connection.cursor() as query:
            query.execute(text, values or None)
            return query.fetchall() if query.description else None


def until(condition, seconds=30):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    return condition()


class Killer:
    """Ends the connections that call themselves victims, again and again."""

    def __enter__(self):
        self.over = threading.Event()
        self.killed = 0
        self.thread = threading.Thread(daemon=True, target=self.run)
        self.thread.start()
        return self

    def run(self):
        while not self.over.wait(0.1) or self.killed < 3:
            ((n,),) = sql("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                          " WHERE application_name = 'victim'")
            self.killed += n

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()


class Tests(unittest.TestCase):
    def setUp(self):
        sql("SELECT nvent.store_create('py')")

    def tearDown(self):
        sql("SELECT nvent.store_migrate('py', 0)")

    def test_events(self):
        got, over = [], threading.Event()

        def read():
            for event in events(VICTIM, "py:order:>", after=0, store="py",
                                poll_interval=0.2, stop=over.is_set):
                got.append(event["id"])

        def write(who):
            with contextlib.closing(psycopg2.connect("")) as connection:
                for i in range(150):
                    with connection, connection.cursor() as query:
                        query.execute("SELECT nvent.stream_append(%s, %s)",
                                      (f"py:order:{who}", Json({"type": "t", "data": i})))
                        time.sleep(0.002 * (who == i % 3))

        threads = [threading.Thread(daemon=True, target=write, args=(who,)) for who in range(3)]
        reader = threading.Thread(daemon=True, target=read)
        with Killer() as killer:
            for thread in [reader, *threads]:
                thread.start()
            for thread in threads:
                thread.join()
        wanted = [str(row[0]) for row in sql("SELECT id FROM py_stream_order ORDER BY id")]
        until(lambda: len(got) >= len(wanted))
        over.set()
        reader.join()
        self.assertGreaterEqual(killer.killed, 3)
        self.assertEqual(len(wanted), 450)
        self.assertEqual(got, wanted)

    def test_told_at_once(self):
        got, over = [], threading.Event()

        def read():
            for event in events("application_name=told", "py:order:>", store="py",
                                poll_interval=60, stop=over.is_set):
                got.append(event["type"])

        reader = threading.Thread(daemon=True, target=read)
        reader.start()
        until(lambda: sql("SELECT 1 FROM pg_stat_activity WHERE application_name = 'told'"
                          " AND query LIKE '%stream_poll%' AND state = 'idle'"))
        sql("SELECT nvent.stream_append('py:order:1', %s)", Json({"type": "one"}))
        self.assertTrue(until(lambda: got == ["one"]))
        over.set()
        sql("SELECT nvent.stream_append('py:order:1', %s)", Json({"type": "two"}))
        reader.join()

    def test_consume(self):
        sql("CREATE TABLE py_effects (name text, id bigint)")
        self.addCleanup(sql, "DROP TABLE py_effects")
        for name in ("good", "bad"):
            sql("SELECT nvent.consumer_subscribe(%s, 'py:order:>', store => 'py')", name)
        sql("SELECT count(*) FROM nvent.stream_append_batch('py:order:1', %s::jsonb[])",
            [Json({"type": "t", "data": i}) for i in range(20)])

        def handle(query, name, event):
            query.execute("INSERT INTO py_effects VALUES (%s, %s)", (name, event["id"]))
            if name == "bad" and event["data"] == 5:
                raise ValueError("not this one")

        with contextlib.closing(psycopg2.connect("")) as connection:
            handled = [consume(connection, handle, "w", store="py") for _ in range(3)]
        self.assertEqual(sum(handled), 20)
        self.assertEqual(sql("SELECT name, count(*), count(DISTINCT id) FROM py_effects"
                             " GROUP BY 1"), [("good", 20, 20)])
        self.assertEqual(sql("SELECT name, error FROM nvent.consumer_list(blocked => true,"
                             " store => 'py')"), [("bad", "not this one")])

    def test_consume_late(self):
        """Whoever comes after its lease has run out changes nothing."""
        sql("CREATE TABLE py_effects (name text, id bigint)")
        self.addCleanup(sql, "DROP TABLE py_effects")
        sql("SELECT nvent.consumer_subscribe('c', 'py:order:>', store => 'py')")
        sql("SELECT nvent.stream_append('py:order:1', %s)", Json({"type": "t"}))

        def late(query, name, event):
            query.execute("INSERT INTO py_effects VALUES (%s, %s)", (name, event["id"]))
            if first:
                first.pop()
                time.sleep(0.02)
                with contextlib.closing(psycopg2.connect("")) as other:
                    consume(other, late, "second", store="py")

        first = [True]
        with contextlib.closing(psycopg2.connect("")) as connection:
            self.assertEqual(consume(connection, late, "first", lease="10 ms", store="py"), 0)
        self.assertEqual(sql("SELECT count(*) FROM py_effects"), [(1,)])

    def test_work(self):
        sql("SELECT nvent.queue_create('q', retry_limit => 1000, lease => '1 day', store => 'py')")
        sql("SELECT nvent.queue_send_batch('q', %s::jsonb[], store => 'py')",
            [Json({"data": i}) for i in range(100)])
        done, had, over = [], set(), threading.Event()

        def handle(job):
            again = job["data"] in done
            done.append(job["data"])
            had.add((int(job["id"]), job["attempt"]))
            if job["data"] % 10 == 3 and not again:
                raise ValueError("not at first")
            time.sleep(0.005)
            return {"twice": job["data"] * 2}

        def over_and_lost():
            """Have the leases run out that the worker was given and never saw.

            It was killed while it fetched them, and is in a later call.  All
            others last, however slow the machine is.
            """
            for lease in sql("SELECT id, attempt FROM nvent.queue_active('q', store => 'py')"
                             " WHERE started_at < (SELECT max(query_start) FROM pg_stat_activity"
                             " WHERE application_name = 'victim' AND state = 'active'"
                             " AND query LIKE 'CALL nvent.queue_work_await%')"):
                if lease not in had:
                    sql("SELECT nvent.queue_touch('q', %s, %s, lease => '1 ms', store => 'py')",
                        *lease)
            return ("completed", 100) in sql("SELECT outcome, count(*) FROM py_job_runs GROUP BY 1")

        worker = threading.Thread(daemon=True, target=work, args=(VICTIM, "q", handle),
                                  kwargs={"batch": 5, "store": "py", "stop": over.is_set,
                                          "patience": "100 ms"})
        with Killer() as killer:
            worker.start()
            self.assertTrue(until(over_and_lost, 120))
        over.set()
        worker.join()
        self.assertGreaterEqual(killer.killed, 3)
        # What it has done is settled when it is there again, and is not done again.
        self.assertEqual(len(done), 110)
        self.assertEqual(sql("SELECT count(DISTINCT id), sum((output ->> 'twice')::int)"
                             " FROM py_job_runs WHERE outcome = 'completed'"), [(100, 9900)])


if __name__ == "__main__":
    unittest.main()
