// The log: act's streams are the subjects {store}:act:{stream}.  act counts
// versions from 0, the store from 1.
'use strict'

const PAGE = 1000
const READ = `SELECT event FROM nvent.stream_read($1, after => $2, before => $3, since => $4, until => $5, types => $6,
  backward => $7, max_count => $8, correlation => $9, with_snaps => $10)`
const POLL = `SELECT next_cursor, cardinality(events) AS count,
    ARRAY(SELECT e FROM unnest(events) WITH ORDINALITY AS u(e, n)
      WHERE ($9::text IS NULL OR substr(e->>'subject', $10) ~ $9)
      AND ($7::text IS NULL OR e->'meta'->>'correlation' = $7) ORDER BY n) AS events
  FROM nvent.stream_poll($1, $2, ${PAGE}, types => $3, before => $4, since => $5, until => $6, correlation => $7,
    with_snaps => $8, backward => $11)`
const STATS = `SELECT s.*, (SELECT event FROM nvent.stream_read(s.subject, after => s.last_id - 1, max_count => 1,
      settled => false)) AS head,
    (SELECT event FROM nvent.stream_read(s.subject, after => s.first_id - 1, max_count => 1, settled => false)) AS tail
  FROM nvent.stream_stats($1, subjects => $2, exclude => $3, before => $4, after => $5) AS s
  WHERE $6::text IS NULL OR substr(s.subject, $7) ~ $6 ORDER BY s.subject COLLATE "C" LIMIT $8`

class Events {
  constructor({ database, store, errors }) {
    Object.assign(this, { database, store, errors, prefix: `${store}:act:` })
  }

  subject(stream) {
    return this.prefix + stream
  }

  async commit(stream, messages, meta, expectedVersion) {
    if (messages.length === 0) return []
    try {
      return (await this.database.query('SELECT nvent.stream_append_batch($1, $2, $3) AS event', [this.subject(stream),
        messages.map(({ name, data, pii }) => JSON.stringify({ type: name, data, meta, pii: pii ?? undefined })),
        expectedVersion === undefined ? null : expectedVersion + 1])).map(row => this.committed(row.event))
    } catch (error) {
      throw this.refusal(error, stream, messages, expectedVersion)
    }
  }

  // What act calls a refusal of an append.
  refusal(error, stream, messages, expectedVersion) {
    if (error.code === 'NV001') {
      const { actual } = JSON.parse(error.detail)
      return new this.errors.ConcurrencyError(stream, actual - 1, messages, expectedVersion)
    }
    if (error.code === 'NV010') return new this.errors.StreamClosedError(stream)
    // What text and jsonb cannot hold, and names that are no subjects.
    if (['22P05', '22021', '22P02', 'NV004'].includes(error.code))
      return new this.errors.ValidationError('event', messages,
        { stream, events: messages.map(message => message.name), message: error.message })
    return error
  }

  // Calls back with one event after the other; the number of them.
  async query(callback, filter) {
    const found = filter?.stream && filter.stream_exact ? await this.read(filter) : await this.poll(filter ?? {}, !filter)

    for (const event of found) await callback(this.committed(event))
    return found.length
  }

  async read({ stream, after, before, created_after: since, created_before: until, names, backward = false, limit,
    correlation, with_snaps: snaps = false }) {
    return (await this.database.query(READ, [this.subject(stream), after ?? null, before ?? null, later(since, 1),
      later(until, -1), names ?? null, backward, limit || null, correlation || null, snaps])).map(row => row.event)
  }

  async poll({ stream, after, before, created_after: since, created_before: until, names, backward = false, limit,
    correlation, with_snaps: snaps }, all) {
    const found = []
    const enough = limit || Infinity
    let low = after ?? 0
    let high = before ?? null

    for (let more = true; more && found.length < enough;) {
      const [{ next_cursor: next, count, events }] = await this.database.query(POLL, [`${this.prefix}>`,
        low, names ?? null, high, later(since, 1), later(until, -1), correlation || null, all || !!snaps,
        stream || null, this.prefix.length + 1, backward])
      for (const event of events) found.push(event)
      more = count >= PAGE
      if (backward) high = next
      else low = next
    }
    return limit ? found.slice(0, limit) : found
  }

  // Of each stream the last event, and what else is asked for, in the order of
  // their names.
  async queryStats(input, { tail, count, names, exclude, before, after, limit } = {}) {
    const exact = Array.isArray(input) ? input : input.stream && input.stream_exact ? [input.stream] : null
    const rows = await this.database.query(STATS, [`${this.prefix}>`, exact?.map(stream => this.subject(stream)) ?? null,
      exclude ?? null, before ?? null, after === undefined ? null : this.subject(after),
      exact ? null : input.stream || null, this.prefix.length + 1, limit ?? null])

    return new Map(rows.map(row => [row.subject.slice(this.prefix.length), {
      head: this.committed(row.head, false),
      ...tail && { tail: this.committed(row.tail, false) },
      ...count && { count: Number(row.events) },
      ...names && { names: row.types }
    }]))
  }

  async truncate(targets) {
    return new Map((await this.database.transaction(async query => {
      const all = []
      // In one order, so that two of these wait and do not deadlock.
      for (const target of [...targets].sort((a, b) => a.stream < b.stream ? -1 : 1))
        all.push([target.stream, await this.truncateOne(query, target)])
      return all
    })).filter(([, result]) => result !== null))
  }

  // null when there is no snapshot before which to delete.
  async truncateOne(query, { stream, snapshot, meta = { correlation: '', causation: {} }, before, max_id: max }) {
    const seed = { type: snapshot ? '__snapshot__' : '__tombstone__', data: snapshot ?? {}, meta }
    const rows = before
      ? await query('SELECT * FROM nvent.stream_truncate($1, before_ts => $2, max_id => $3)',
        [this.subject(stream), before.getTime(), max ?? null])
      : await query('SELECT * FROM nvent.stream_truncate($1, seed => $2, restart => true)',
        [this.subject(stream), JSON.stringify(seed)])

    if (rows.length === 0) return null
    return { deleted: Number(rows[0].deleted), committed: this.committed(rows[0].record), ...before && { before } }
  }

  // Replaces the log and the subscriptions by what the driver inserts, or keeps
  // all as it is.
  async restore(driver) {
    await this.database.transaction(async query => {
      await query('SELECT nvent.stream_clear($1)', [this.store])
      await query(`SELECT nvent.consumer_unsubscribe(name, $1) FROM nvent.consumer_list(max_count => NULL, store => $1)`,
        [this.store])
      await driver(async ({ stream, version, name, data, meta, pii, created }) => {
        const [{ event }] = await query('SELECT nvent.stream_restore(ARRAY[$1::jsonb]) AS event', [JSON.stringify({
          subject: this.subject(stream), version: version + 1, type: name, ts: created.getTime(), data, meta,
          pii: pii ?? undefined })])
        return Number(event.id)
      })
    })
  }

  async forgetPii(stream) {
    return Number((await this.database.query('SELECT nvent.stream_erase($1) AS n', [this.subject(stream)]))[0].n)
  }

  // The highest position that has an event, -1 for none.
  async last() {
    const [{ id }] = await this.database.query(`SELECT events[1]->>'id' AS id
      FROM nvent.stream_poll($1, NULL, 1, backward => true)`, [`${this.prefix}>`])

    return id === null ? -1 : Number(id)
  }

  // An event as act has it.
  committed({ subject, id, version, type, ts, data, meta, pii }, withPii = true) {
    return { id: Number(id), stream: subject.slice(this.prefix.length), version: version - 1, name: type,
      created: new Date(ts), data: revive(data ?? null), meta: revive(meta ?? null),
      ...withPii && pii !== undefined && { pii: revive(pii) } }
  }
}

// A bound that includes, of one that excludes, in milliseconds since 1970.
function later(time, by) {
  return time === undefined || time === null ? null : new Date(time).getTime() + by
}

const DATE = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/

// Dates that went out as text come back as dates.
function revive(value) {
  if (typeof value === 'string') return DATE.test(value) ? new Date(value) : value
  if (Array.isArray(value)) return value.map(revive)
  if (value === null || typeof value !== 'object') return value
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, revive(member)]))
}

module.exports = { Events }
