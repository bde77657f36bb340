// PostgresStore: act's Store.
'use strict'

const { Database } = require('./database')
const { Events } = require('./events')
const { Notifications } = require('./notifications')
const { Subscriptions } = require('./subscriptions')

class PostgresStore {
  // connection  a URL, or what node-postgres takes as configuration
  // store       name of the store, which is this one's alone
  // notify      whether notify() is there
  // errors      classes of act's errors, if it is loaded as a module
  // onError     is told of errors that no call returns
  constructor({ connection = {}, store = 'act', notify = false, errors, onError = () => {} } = {}) {
    const config = typeof connection === 'string' ? { connectionString: connection } : { max: 20, ...connection }

    Object.assign(this, { name: store, onError, database: new Database(config, onError) })
    const given = { database: this.database, store, errors: errors ?? require('./errors') }
    this.events = new Events(given)
    this.subscriptions = new Subscriptions(given)
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

module.exports = { PostgresStore }
