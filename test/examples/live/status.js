// What the page shows beside events: one answer for all pages that ask within
// half a second, of parts that fail each by itself.  Keys are those changed last
// of the first thousand, since no index has them by time.
'use strict'

const FRESH = 500

// Each is asked with the store's name and gives rows.  Nothing here reads a
// table that grows with what was ever done, but for LIMIT rows of it; jobs are known
// in shared memory, and counted where there is none.
const parts = {
  position: () => `
    SELECT nvent.safe_position($1) AS safe, (SELECT last_value FROM nvent.position_seq) AS drawn`,
  appenders: () => `
    SELECT a.low_water_mark, a.pid, a.prepared, a.tables::text[] AS tables, s.application_name AS name, s.state,
      extract(epoch FROM clock_timestamp() - a.since)::float8 AS seconds
    FROM nvent.appenders a LEFT JOIN pg_stat_activity s USING (pid)
    WHERE $1 = ANY (a.stores) ORDER BY a.low_water_mark LIMIT 10`,
  worker: () => `
    SELECT w.*, $1::text AS store FROM nvent.worker_status() w`,
  entries: table => `
    SELECT k.key, e.entry
    FROM (SELECT concat($1::text, ':', t) AS key FROM unnest('{flows,triggers}'::text[]) t
      UNION (SELECT DISTINCT key FROM (SELECT key FROM ${table('entries')} ORDER BY key LIMIT 1000) k LIMIT 20)) k,
      nvent.entry_read(k.key, max_count => 20) WITH ORDINALITY e(entry, n)
    ORDER BY k.key, e.n LIMIT 40`,
  keys: table => `
    SELECT key, left(value::text, 200) AS value, extract(epoch FROM expires_at - now())::float8 AS ttl
    FROM (SELECT * FROM ${table('kv')} ORDER BY key LIMIT 1000) k
    WHERE $1::text IS NOT NULL AND (expires_at IS NULL OR expires_at > now())
    ORDER BY updated_at DESC NULLS LAST LIMIT 12`,
  locks: table => `
    SELECT name, owner, token, extract(epoch FROM expires_at - now())::float8 AS ttl
    FROM ${table('locks')} WHERE $1::text IS NOT NULL AND owner IS NOT NULL AND expires_at > now()
    ORDER BY name LIMIT 20`,
  consumers: () => `
    SELECT name, pattern, lane, owner, blocked, error, attempt,
      greatest(coalesce(mark, position) - position, 0) AS lag, leased_until > now() AS leased
    FROM nvent.consumer_list(max_count => 50, store => $1)`,
  queues: () => `
    SELECT s.queue AS name, q.policy, q.paused_at IS NOT NULL AS paused, s.ready::int AS ready,
      (s.depth - s.ready)::int AS later, s.active::int AS active, s.failed::int AS failed,
      extract(epoch FROM s.oldest_age)::float8 AS oldest
    FROM nvent.queue_stats(store => $1) s JOIN nvent.queue_list(store => $1) q USING (queue)
    ORDER BY s.queue LIMIT 50`
}

class Status {
  constructor(pool, store) {
    Object.assign(this, { pool, store, known: undefined, at: 0, schema: undefined })
  }

  // Resolves to what each part came to: { rows } or { error }.
  get() {
    if (Date.now() - this.at > FRESH) {
      this.at = Date.now()
      this.known = this.read()
    }
    return this.known
  }

  async read() {
    const names = Object.keys(parts)
    const results = await Promise.all(names.map(name => this.part(name)))

    return { store: this.store, at: Date.now(), ...Object.fromEntries(names.map((name, i) => [name, results[i]])) }
  }

  async part(name) {
    try {
      const schema = await this.findSchema()
      const table = suffix => `${schema}.${quote(`${this.store}_${suffix}`)}`
      const { rows } = await this.pool.query(parts[name](table), [this.store])

      return { rows }
    } catch (error) {
      this.schema = undefined
      return { error: error.message }
    }
  }

  findSchema() {
    this.schema ??= this.pool.query(`SELECT relnamespace::regnamespace::text AS name
      FROM pg_class JOIN nvent.store ON pg_class.oid = version_table WHERE prefix = $1`, [this.store])
      .then(({ rows }) => {
        if (rows.length === 0) throw new Error(`there is no store "${this.store}"`)
        return rows[0].name
      })
    return this.schema
  }
}

function quote(name) {
  return `"${name.replace(/"/g, '""')}"`
}

module.exports = { Status }
