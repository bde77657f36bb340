// act's subscriptions are the consumers of the store.  act's retry is one less
// than their count of attempts, and its position before the first event is -1.
'use strict'

const { NoConnection } = require('./database')

const LOCK = `SELECT pg_advisory_xact_lock(hashtextextended($1 || ':act:subscribe', 0))`
const SUBSCRIBE = `SELECT count(*) FILTER (WHERE added)::int AS added FROM (
  SELECT nvent.consumer_subscribe(name, lane => CASE WHEN c.priority > s.priority THEN c.lane ELSE s.lane END,
    priority => s.priority, source => s.source, mark => s.mark, after => -1, store => $6) AS added
  FROM unnest($1::text[], $2::text[], $3::int[], $4::text[], $5::bigint[]) AS s(name, source, priority, lane, mark)
    LEFT JOIN nvent.consumer_list($1, max_count => NULL, store => $6) AS c USING (name) ORDER BY name COLLATE "C") AS s`
const FILTER = 'name_regex => $2, source_regex => $3, source => $4, lane => $5'

class Subscriptions {
  constructor({ database, store, errors }) {
    Object.assign(this, { database, store, errors })
  }

  // A call of the database whose failure is the store's.
  async failing(operation, work) {
    try {
      return await work()
    } catch (error) {
      throw new this.errors.StoreError(operation, { cause: error instanceof NoConnection ? error.cause : error })
    }
  }

  subscribe(streams, position, correlator) {
    return this.failing('subscribe', () => this.database.transaction(async query => {
      const added = await this.register(query, fold(streams))
      const correlated = await this.checkpoint(query, position ?? -1, correlator?.key)
      const correlating = correlator && { correlating: await this.correlate(query, correlator) }
      const [{ ahead }] = await query('SELECT nvent.consumer_furthest($1) AS ahead', [this.store])

      return { subscribed: added, watermark: Number(ahead ?? -1), correlated_at: correlated, ...correlating }
    }))
  }

  // The number of new ones.  The lane is that of the highest priority, so that
  // nobody else may change that between our look and our write.
  async register(query, streams) {
    const column = pick => streams.map(pick)

    if (streams.length === 0) return 0
    await query(LOCK, [this.store])
    return (await query(SUBSCRIBE, [column(s => s.stream), column(s => s.source ?? null), column(s => s.priority),
      column(s => s.lane), column(s => s.correlated_at ?? null), this.store]))[0].added
  }

  // How far the log was read, under a key and by all; neither goes back.
  async checkpoint(query, position, key) {
    const names = ['correlated', ...key === undefined ? [] : [`correlated:${key}`]]
    const rows = await query(`SELECT name, position FROM unnest($1::text[]) AS name, nvent.checkpoint_load(name, $2)`,
      [names, this.store])
    const at = new Map(rows.map(row => [row.name, Number(row.position)]))
    const own = names[names.length - 1]
    const now = Math.max(at.get(own) ?? at.get(names[0]) ?? -1, position)

    for (const name of names)
      if (now > -1 && !(at.get(name) >= now) && (name === own || position > -1))
        await query('SELECT nvent.checkpoint_save($1, $2, store => $3, keep_higher => true)', [name, now, this.store])
    return now
  }

  async correlate(query, { key, by, millis }) {
    const [{ token }] = await query('SELECT nvent.lock_acquire($1, $2, $3) AS token',
      [`${this.store}:act:correlate:${key}`, interval(millis), by])

    return token !== null
  }

  claim(lagging, leading, by, millis, lane) {
    return this.failing('claim', async () => (await this.database.query(
      'SELECT * FROM nvent.consumer_claim($1, $2, $3, $4, $5, max_scan => NULL, store => $6)',
      [lagging, interval(millis), lane ?? null, by, leading, this.store])).map(row => ({ stream: row.name,
      ...row.source !== null && { source: row.source }, at: Number(row.position), by: row.owner, retry: row.attempt - 1,
      lagging: row.lagging, lane: row.lane })))
  }

  ack(leases) {
    return this.failing('ack', async () => held(leases, (await this.database.query(
      'SELECT * FROM nvent.consumer_ack_many($1, NULL, $2, $3, $4, $5, true, store => $6)',
      [leases.map(lease => lease.stream), leases.map(lease => lease.at), leases.map(({ due }) => due ? new Date(due) : null),
        leases.map(({ due, retry }) => due ? retry + 1 : null), leases.map(lease => lease.by), this.store]))
      .filter(row => row.deferred_until === null)))
  }

  block(leases) {
    return this.failing('block', async () => held(leases, await this.database.query(
      'SELECT * FROM nvent.consumer_block_many($1, NULL, $2, $3, store => $4)',
      [leases.map(lease => lease.stream), leases.map(lease => lease.error), leases.map(lease => lease.by), this.store])))
  }

  // The number of consumers of some names, or that a filter selects, that a
  // function with one more argument did something to.
  async change(call, input, value, more = '') {
    const { names, values, blocked } = select(input)

    if (names?.length === 0) return 0
    const other = value === undefined ? '' : ', $7'
    const [{ n }] = await this.database.query(`SELECT nvent.${call}($1${other}, ${FILTER}, store => $6${more && `, ${more}`}) AS n`,
      [names, ...values, this.store, ...value === undefined ? [] : [value],
        ...more ? [blocked] : []])

    return Number(n)
  }

  reset(input) {
    return this.change('consumer_reset', input, -1, 'blocked => $8')
  }

  unblock(input) {
    return this.change('consumer_unblock', input)
  }

  defer(input, time) {
    return this.change('consumer_defer', input, new Date(time), 'blocked => $8')
  }

  prioritize(filter, priority) {
    return this.change('consumer_prioritize', filter, priority, 'blocked => $8')
  }

  async list({ source_matches: matches, after, limit = 100, ...filter } = {}) {
    const { names, values, blocked } = select(filter)

    return (await this.database.query(`SELECT * FROM nvent.consumer_list($1, ${FILTER}, blocked => $6, after => $7,
        max_count => NULL, store => $8)
      WHERE $9::text[] IS NULL OR source IS NULL OR source = '' OR EXISTS (SELECT FROM unnest($9) AS n WHERE n ~ source)
      LIMIT $10`,
    [names, ...values, blocked, after ?? null, this.store, matches?.length ? matches : null, limit])).map(toPosition)
  }
}

// Streams, each once: the first source, the highest priority with its lane, the
// highest mark.
function fold(streams) {
  const all = new Map()

  for (const { stream, source, priority = 0, lane = 'default', correlated_at: mark } of streams) {
    const had = all.get(stream) ?? { stream, source, priority, lane }

    all.set(stream, { ...had, ...priority >= had.priority && { priority, lane },
      correlated_at: mark === undefined ? had.correlated_at : Math.max(mark, had.correlated_at ?? mark) })
  }
  return [...all.values()]
}

// A filter as arguments: names, and expressions for all else.
function select(input) {
  if (Array.isArray(input)) return { names: [...new Set(input)], values: [null, null, null, null], blocked: null }
  const { stream, stream_exact: exact, source, source_exact: sourceExact, lane, blocked } = input

  return { names: stream !== undefined && exact ? [stream] : null, blocked: blocked ?? null,
    values: [exact ? null : stream ?? null, sourceExact ? null : source ?? null, sourceExact ? source ?? null : null,
      lane ?? null] }
}

// Leases with what their rows are now; of those that name one stream, as only
// one can hold it, the one that came through.
function held(leases, rows) {
  return rows.map(row => {
    const at = Number(row.position)
    const given = leases.filter(lease => lease.stream === row.name)

    return { ...given.find(lease => lease.at === at) ?? given[0], at, retry: row.attempt - 1, lane: row.lane,
      ...row.source !== null && { source: row.source } }
  })
}

function toPosition(row) {
  return { stream: row.name, at: Number(row.position), retry: row.attempt - 1, blocked: row.blocked, error: row.error ?? '',
    priority: row.priority, lane: row.lane,
    ...row.source !== null && { source: row.source },
    ...row.owner !== null && { leased_by: row.owner },
    ...row.leased_until !== null && { leased_until: row.leased_until },
    ...row.deferred_until !== null && { deferred_at: row.deferred_until.getTime() },
    ...row.mark !== null && { correlated_at: Number(row.mark) } }
}

function interval(millis) {
  return `${Math.max(millis, 0)} milliseconds`
}

module.exports = { Subscriptions }
