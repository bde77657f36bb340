// PostgresStoreAdapter: the interface of nvent's adapter-store-postgres.  Each
// method is one call of a function of the extension, as a prepared statement.
'use strict'

const { randomUUID } = require('node:crypto')
const { Pool } = require('pg')
const { runMigrations, getCurrentVersion, rollbackTo, listStreamTables, dropStreamTable } = require('./migrations')
const { Subscriptions } = require('./subscriptions')

const EVENT_READ = `
  SELECT event FROM nvent.stream_read($1, after => $2, since => $3, until => $4,
    types => $5, backward => $6, max_count => $7, before => $8)`

class PostgresStoreAdapter {
  // connection   a URL, or what node-postgres takes as configuration
  // prefix       name of the store, the beginning of its tables' names
  // schema       where init() makes the store, public
  // autoMigrate  have init() create, adopt or migrate the store
  // poolSize     connections at most; subscriptions take one more
  // pollInterval milliseconds until subscriptions look without being told
  // onError      is told of errors that no call returns
  constructor({ connection = {}, prefix = 'nvent', schema, autoMigrate = true, poolSize,
    pollInterval = 1000, onError = () => {} } = {}) {
    this.prefix = prefix
    this.schema = schema
    this.autoMigrate = autoMigrate
    this.config = typeof connection === 'string' ? { connectionString: connection } : { ...connection }
    // What is under no store's name is this one's.
    if (prefix !== 'nvent') this.config.options = `${this.config.options ?? ''} ${setting(prefix)}`.trim()
    this.pool = new Pool({ ...this.config, max: poolSize ?? this.config.max ?? 10 })
    // A connection that breaks while nobody uses it ends no process.
    this.pool.on('error', onError)
    this.subscriptions = new Subscriptions({ query: (text, values) => this.query(text, values),
      config: this.config, prefix, pollInterval, onError })
    this.stream = this.makeStream()
    this.index = this.makeIndex()
    this.kv = this.makeKv()
  }

  async init() {
    if (this.autoMigrate) await runMigrations(this.pool, this.prefix, this.schema)
  }

  async close() {
    await this.subscriptions.close()
    await this.pool.end()
  }

  // The rows of a statement, which each connection prepares once.
  async query(text, values) {
    const { rows } = await this.pool.query({ name: statementName(text), text, values })
    return rows
  }

  async value(text, values) {
    return (await this.query(`SELECT ${text} AS value`, values))[0].value
  }

  // Documents say nvent:... and nq:..., whatever the prefix of the tables is.
  subject(subject) {
    return subject.replace(/^(nvent|nq)(?=:)/, this.prefix)
  }

  makeStream() {
    return {
      append: async (subject, event) => toEvent(
        await this.value('nvent.stream_append($1, $2)', [this.subject(subject), toJson(event)])),
      // As in the adapter no types are all.
      read: async (subject, { after, before, from, to, types, order = 'asc', limit = 1000 } = {}) =>
        (await this.query(EVENT_READ, [this.subject(subject), after ?? null, ms(from), ms(to),
          types?.length ? types : null, order === 'desc', limit, before ?? null])).map(row => toEvent(row.event)),
      delete: async subject => Number(await this.value('nvent.stream_delete($1)', [this.subject(subject)])) > 0,
      subscribe: async (subject, onEvent, options) => ({ id: randomUUID(), subject,
        ...await this.subscriptions.add(this.subject(subject), event => onEvent(toEvent(event)), options) })
    }
  }

  makeIndex() {
    const update = (key, id, metadata, expected) => this.value('nvent.entry_update($1, $2, $3, $4)',
      [this.subject(key), id, toJson(metadata), expected ?? null])
    const remove = (key, id) => this.value('nvent.entry_delete($1, $2)', [this.subject(key), id])

    return {
      add: async (key, id, score, metadata = {}) => {
        await this.value('nvent.entry_add($1, $2, $3, $4)', [this.subject(key), id, score, toJson(metadata)])
      },
      get: (key, id) => this.value('nvent.entry_get($1, $2)', [this.subject(key), id]),
      read: async (key, { offset = 0, limit = 100, filter } = {}) =>
        (await this.query(`SELECT e AS entry FROM nvent.entry_read($1, max_count => $2, row_offset => $3,
          filter => $4) e`, [this.subject(key), limit, offset, filter === undefined ? null : toJson(filter)]))
          .map(row => row.entry),
      // False when there is no such entry, or it is at another version than the
      // one that the caller read.
      update: async (key, id, metadata, { version } = {}) => await update(key, id, metadata, version) !== null,
      // The database merges on the row as it is, so that there is nothing to retry.
      updateWithRetry: async (key, id, metadata) => {
        if (await update(key, id, metadata) === null) throw new Error(`there is no entry "${id}" of "${key}"`)
      },
      increment: async (key, id, field, by = 1) =>
        Number(await this.value('nvent.entry_increment($1, $2, $3, $4)', [this.subject(key), id, field, by])),
      delete: remove,
      remove
    }
  }

  makeKv() {
    return {
      get: key => this.value('nvent.kv_get($1)', [this.subject(key)]),
      // ttl is in seconds; 0 is for good, and one that is over leaves no key.
      set: async (key, value, ttl = 0) => {
        await this.value('nvent.kv_set($1, $2, seconds => $3)', [this.subject(key), toJson(value), ttl])
      },
      delete: key => this.value('nvent.kv_delete($1)', [this.subject(key)]),
      // Only * is special in patterns of the adapter.
      clear: async pattern =>
        Number(await this.value('nvent.kv_clear($1, only_stars => true)', [this.subject(pattern)])),
      increment: async (key, by = 1) =>
        Number(await this.value('nvent.kv_increment($1, $2)', [this.subject(key), by]))
    }
  }
}

// A record as the adapter's documents have it: with what has no column of its
// own beside the other fields.
function toEvent({ meta, ...record }) {
  return { ...meta, ...record }
}

function toJson(value) {
  return JSON.stringify(value ?? null)
}

// A time of the caller in milliseconds.
function ms(time) {
  return time === undefined || time === null ? null : Math.trunc(Number(new Date(time)))
}

// A name of 63 bytes at most for a statement, the same whenever it comes again.
const names = new Map()

function statementName(text) {
  if (!names.has(text)) names.set(text, `nvent_store_${names.size}`)
  return names.get(text)
}

// The start-up option that makes a store the default one.
function setting(prefix) {
  return `-c nvent_store.default_store=${prefix.replace(/[\\ ]/g, '\\$&')}`
}

// By their names, as Node finds no others to import.
module.exports = { PostgresStoreAdapter, runMigrations, getCurrentVersion, rollbackTo, listStreamTables, dropStreamTable }
