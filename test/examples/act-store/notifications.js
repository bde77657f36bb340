// What others commit: a connection that listens, made again when it breaks.
// What is missed meanwhile is left to polls, as act has it.
'use strict'

const { Client } = require('pg')

const READ = `SELECT event->>'id' AS id, event->>'type' AS name, event->'version' AS version
  FROM nvent.stream_read($1, backward => true, before_version => $2, max_count => $3, settled => false)`

class Notifications {
  // inflight  promises of commits of this process, which it is not told of
  // own       positions of their events
  constructor({ database, store, prefix, handler, onError }) {
    Object.assign(this, { database, store, prefix, handler, onError, inflight: new Set(), own: new Set(), seen: new Map(),
      stopped: false, work: Promise.resolve() })
    this.listening = new Promise(resolve => { this.ready = resolve })
    this.running = this.run()
  }

  async run() {
    for (let failures = 0; !this.stopped; failures++) {
      const client = this.client = new Client({ ...this.database.config, keepAlive: true })
      const ended = new Promise(resolve => client.once('end', resolve))

      client.on('error', this.onError)
      client.on('notification', ({ payload }) => {
        this.work = this.work.then(() => this.tell(JSON.parse(payload).stream)).catch(this.onError)
      })
      try {
        // A client that is ended while it connects never says whether it has.
        await Promise.race([client.connect(), ended])
        if (this.stopped) break
        await client.query(`LISTEN ${client.escapeIdentifier(`${this.store}_events`)}`)
        this.from = Number((await client.query('SELECT nvent.safe_position($1) AS p', [this.store])).rows[0].p)
        this.ready()
        failures = 0
        if (!this.stopped) await ended
      } catch (error) {
        this.onError(error)
      }
      await client.end().catch(() => {})
      if (!this.stopped) await new Promise(resolve => setTimeout(resolve, Math.min(50 * 2 ** failures, 2000)))
    }
    this.ready()
  }

  // Report what is new in a stream and of others.  A payload says which stream, as
  // it tells of all commits since the last one; the names are read from there.
  async tell(subject) {
    if (!subject?.startsWith(this.prefix)) return
    await Promise.allSettled(this.inflight)
    const after = this.seen.get(subject) ?? this.from
    const events = await this.above(subject, after)

    if (events.length === 0) return
    this.seen.set(subject, events[events.length - 1].id)
    const others = events.filter(event => !this.own.delete(event.id))
    if (others.length > 0) await this.handler({ stream: subject.slice(this.prefix.length), events: others })
  }

  // Events above a position, the last of which are read first: by versions that
  // costs the same in a long stream as in a short one.
  async above(subject, after) {
    const found = []

    for (let before = null, count = 10; ; count = 1000) {
      const rows = await this.database.query(READ, [subject, before, count])
      for (const { id, name } of rows) if (Number(id) > after) found.push({ id: Number(id), name })
      if (rows.length < count || Number(rows[count - 1].id) <= after) return found.reverse()
      before = rows[count - 1].version
    }
  }

  // A commit of this process, which resolves to its events.
  async except(commit) {
    this.inflight.add(commit)
    try {
      const events = await commit
      for (const event of events) this.own.add(event.id)
      return events
    } finally {
      this.inflight.delete(commit)
    }
  }

  async stop() {
    this.stopped = true
    await this.client?.end().catch(() => {})
    await this.running
    await this.work
  }
}

module.exports = { Notifications }
