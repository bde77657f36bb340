// Feeds: what the clients of one pattern read, page by page.  A page is what
// follows a cursor, and is read once for all clients that are there; who is
// slow reads his own.  One connection listens for all: notifications are a hint
// to read on, and what is missed is read when the next one comes, when the
// connection is there again, or after pollInterval.
'use strict'

const { Client } = require('pg')

// Events of a page, and pages that are kept for clients that are a bit behind.
const PAGE = 200
const KEPT = 8

const POLL = { name: 'nvent_live_poll', text: `
  SELECT p.next_cursor, u.event ->> 'id' AS id, u.event::text AS event
  FROM nvent.stream_poll($1, $2, ${PAGE}) p
  LEFT JOIN LATERAL unnest(p.events) WITH ORDINALITY u(event, n) ON true
  ORDER BY u.n` }

class Feeds {
  constructor({ pool, config, store, pollInterval, onError }) {
    Object.assign(this, { pool, config, store, pollInterval, onError })
    this.all = new Map()
    this.listener = new Listener(this)
  }

  // The feed of a pattern, for one more client; leave() gives it back.
  join(pattern) {
    if (!this.all.has(pattern)) this.all.set(pattern, new Feed(this, pattern))
    const feed = this.all.get(pattern)

    feed.clients++
    return feed
  }

  leave(feed) {
    if (--feed.clients === 0) this.all.delete(feed.pattern)
  }

  // Nothing that comes from now on is before this position.
  async now() {
    const { rows } = await this.pool.query('SELECT nvent.safe_position($1) AS position', [this.store])
    return rows[0].position
  }

  async check(pattern) {
    const { rows } = await this.pool.query('SELECT nvent.subject_pattern_is_valid($1) AS valid', [pattern])
    return rows[0].valid
  }

  wake() {
    for (const feed of this.all.values()) feed.wake()
  }

  close() {
    return this.listener.stop()
  }
}

class Feed {
  constructor(owner, pattern) {
    Object.assign(this, { owner, pattern, clients: 0, pages: new Map(), sleepers: new Set(), wakes: 0 })
  }

  // Resolves to { next, count, text, wakes }: events after a cursor as the bytes
  // that clients get, the cursor that follows, and what we had been told when
  // the page was begun, for sleep().
  page(cursor) {
    const known = this.pages.get(cursor)
    if (known !== undefined) return known

    const page = this.read(cursor)
    // What was empty may have something now, what failed may not fail again,
    // and what was there may be deleted.
    const forget = () => this.pages.get(cursor) === page && this.pages.delete(cursor)

    this.pages.set(cursor, page)
    if (this.pages.size > KEPT) this.pages.delete(this.pages.keys().next().value)
    page.then(({ count }) => count === 0 ? forget() : setTimeout(forget, this.owner.pollInterval).unref(), forget)
    return page
  }

  async read(cursor) {
    const { wakes } = this
    const { rows } = await this.owner.pool.query({ ...POLL, values: [this.pattern, cursor] })
    const events = rows.filter(row => row.id !== null)

    return { next: rows[0].next_cursor, count: events.length, wakes,
      text: Buffer.from(events.map(row => `id: ${row.id}\ndata: ${row.event}\n\n`).join('')) }
  }

  // Until somebody has appended since the page was begun, or pollInterval has
  // passed; signal ends it.
  async sleep({ wakes }, milliseconds, signal) {
    if (this.wakes !== wakes || signal.aborted) return
    await new Promise(resolve => {
      const done = () => {
        clearTimeout(timer)
        this.sleepers.delete(done)
        signal.removeEventListener('abort', done)
        resolve()
      }
      const timer = setTimeout(done, milliseconds)

      this.sleepers.add(done)
      signal.addEventListener('abort', done)
    })
  }

  wake() {
    this.wakes++
    for (const done of [...this.sleepers]) done()
  }
}

class Listener {
  constructor(owner) {
    this.owner = owner
    this.stopping = new AbortController()
    this.running = this.run()
  }

  async run() {
    for (let failures = 0; !this.stopping.signal.aborted;) {
      const client = this.client = new Client(this.owner.config)
      const ended = new Promise(resolve => client.once('end', resolve))

      client.on('error', this.owner.onError)
      client.on('notification', () => this.owner.wake())
      try {
        // A client that is ended while it connects never says whether it has.
        await Promise.race([client.connect(), ended])
        if (this.stopping.signal.aborted) break
        await client.query(`LISTEN ${client.escapeIdentifier(`${this.owner.store}_events`)}`)
        failures = 0
        // Nobody was told of what was appended until now.
        this.owner.wake()
        if (!this.stopping.signal.aborted) await ended
      } catch (error) {
        this.owner.onError(error)
      }
      await client.end().catch(() => {})
      if (!this.stopping.signal.aborted) await pause(backoff(failures++), this.stopping.signal)
    }
  }

  async stop() {
    this.stopping.abort()
    await this.client.end().catch(() => {})
    await this.running
  }
}

// 50 milliseconds, and up to 2 seconds when it fails again and again.
function backoff(failures) {
  return Math.min(50 * 2 ** failures, 2000) * (0.5 + Math.random() / 2)
}

function pause(milliseconds, signal) {
  return new Promise(resolve => {
    const done = () => {
      clearTimeout(timer)
      signal.removeEventListener('abort', done)
      resolve()
    }
    const timer = setTimeout(done, signal.aborted ? 0 : milliseconds)

    signal.addEventListener('abort', done)
  })
}

module.exports = { Feeds, backoff, pause }
