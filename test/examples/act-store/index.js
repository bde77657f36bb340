// PostgresStore: act's Store.
'use strict'

const { Database, NoConnection } = require('./database')
const { Events } = require('./events')
const { Notifications } = require('./notifications')
const { Subscriptions } = require('./subscriptions')

// What node-postgres leaves open, as act-pg has it.
const POOL = { max: 20, connectionTimeoutMillis: 10000, idleTimeoutMillis: 30000, statement_timeout: 60000 }

class PostgresStore {
  // connection  a URL, or what node-postgres takes as configuration; that may
  //             also be beside the others, as for act-pg
  // store       name of the store, which is this one's alone
  // schema      and table, which act-pg takes instead, make a name of it
  // notify      whether notify() is there
  // errors      classes of act's errors, if it is loaded as a module
  // onError     is told of errors that no call returns
  constructor({ connection = {}, schema, table, store = storeName(schema, table), notify = false, errors, onError = () => {},
    pii_encryption: encryption, ...more } = {}) {
    const given = typeof connection === 'string' ? { connectionString: connection } : connection

    if (encryption) throw new Error('the option "pii_encryption" is not there: encrypt what is passed as pii')
    Object.assign(this, { name: store, onError, errors: errors ?? require('./errors'),
      database: new Database({ ...POOL, ...more, ...given }, onError) })
    const parts = { database: this.database, store, errors: this.errors }
    this.events = new Events(parts)
    this.subscriptions = new Subscriptions(parts)
    if (notify) this.notify = handler => this.listen(handler)
  }

  // Creates or migrates the store; any number of processes may at once.
  async seed() {
    await this.database.query('SELECT nvent.store_ensure($1)', [this.name])
  }

  async drop() {
    await this.database.query('SELECT nvent.store_migrate($1, 0) WHERE nvent.store_version($1) IS NOT NULL', [this.name])
  }

  async dispose() {
    await this.listener?.stop()
    await this.database.close()
  }

  commit(stream, messages, meta, expectedVersion) {
    const commit = this.events.commit(stream, messages, meta, expectedVersion)

    return this.listener ? this.listener.except(commit) : commit
  }

  query(callback, filter) {
    return this.events.query(callback, filter)
  }

  query_stats(input, options) {
    return this.events.queryStats(input, options)
  }

  truncate(targets) {
    return this.events.truncate(targets)
  }

  restore(driver) {
    return this.events.restore(driver)
  }

  forget_pii(stream) {
    return this.events.forgetPii(stream)
  }

  subscribe(streams, position, correlator) {
    return this.subscriptions.subscribe(streams, position, correlator)
  }

  claim(lagging, leading, by, millis, lane) {
    return this.subscriptions.claim(lagging, leading, by, millis, lane)
  }

  ack(leases) {
    return this.subscriptions.ack(leases)
  }

  block(leases) {
    return this.subscriptions.block(leases)
  }

  defer(input, time) {
    return this.subscriptions.defer(input, time)
  }

  reset(input) {
    return this.subscriptions.reset(input)
  }

  unblock(input) {
    return this.subscriptions.unblock(input)
  }

  prioritize(filter, priority) {
    return this.subscriptions.prioritize(filter, priority)
  }

  async query_streams(callback, filter) {
    const positions = await this.subscriptions.list(filter)

    for (const position of positions) await callback(position)
    return { maxEventId: await this.events.last(), count: positions.length }
  }

  // Resolves, when it listens, to what ends that; another handler takes its place.
  async listen(handler) {
    await this.listener?.stop()
    const listener = this.listener = new Notifications({ database: this.database, store: this.name,
      prefix: this.events.prefix, handler, onError: this.onError })

    await listener.listening
    return async () => {
      await listener.stop()
      if (this.listener === listener) this.listener = undefined
    }
  }
}

function storeName(schema, table) {
  return schema === undefined && table === undefined ? 'act' : `${schema ?? 'public'}_${table ?? 'events'}`
}

// Where no connection is to be had, act is told so and by which operation.
for (const operation of ['seed', 'drop', 'commit', 'query', 'query_stats', 'truncate', 'restore', 'forget_pii', 'defer',
  'reset', 'unblock', 'prioritize', 'query_streams']) {
  const work = PostgresStore.prototype[operation]

  PostgresStore.prototype[operation] = async function (...args) {
    try {
      return await work.apply(this, args)
    } catch (error) {
      throw error instanceof NoConnection ? new this.errors.StoreError(operation, { cause: error.cause }) : error
    }
  }
}

module.exports = { PostgresStore }
