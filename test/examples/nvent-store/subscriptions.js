// Subscriptions: each has a cursor, below which it has delivered everything.
// Notifications are a hint to read on from there; whatever is missed, a
// connection that breaks included, is read when the next one comes, when the
// connection is there again, or after pollInterval.
'use strict'

const { Client } = require('pg')

const PAGE = 500
const POLL = `SELECT next_cursor, events FROM nvent.stream_poll(nvent.subject_escape($1), $2, ${PAGE})`

class Subscriptions {
  constructor({ query, config, prefix, pollInterval, onError }) {
    Object.assign(this, { query, config, prefix, pollInterval, onError })
    this.all = new Set()
  }

  // Deliver a subject's events to onEvent, one after the other, in order, each
  // once: those after the position that options.after names, 0 being the
  // beginning, or those that come from now on.  Resolves to what ends it.
  async add(subject, onEvent, { after } = {}) {
    const cursor = after ?? (await this.query('SELECT nvent.safe_position($1) AS position', [this.prefix]))[0].position
    const subscription = new Subscription(this, subject, onEvent, cursor)

    this.all.add(subscription)
    if (this.all.size === 1) this.listener = new Listener(this)
    subscription.running = subscription.run()
    return { unsubscribe: () => this.remove(subscription) }
  }

  async remove(subscription) {
    if (!this.all.delete(subscription)) return
    subscription.stop()
    if (this.all.size === 0) await this.listener.stop()
  }

  async close() {
    const running = [...this.all].map(subscription => subscription.running)

    await Promise.all([...this.all].map(subscription => this.remove(subscription)))
    await Promise.all(running)
  }

  // Have those of a subject look, or all for null.
  wake(subject) {
    for (const subscription of this.all)
      if (subject === null || subscription.subject === subject) subscription.wake()
  }
}

class Subscription {
  constructor(owner, subject, onEvent, cursor) {
    Object.assign(this, { owner, subject, onEvent, cursor, stopped: false, nap: new Nap() })
  }

  async run() {
    for (let failures = 0; !this.stopped;) {
      this.nap.begin()
      try {
        const more = await this.page()
        failures = 0
        if (!more) await this.nap.sleep(this.owner.pollInterval)
      } catch (error) {
        // The cursor is where it was, so that nothing is lost or comes again.
        this.owner.onError(error)
        await this.nap.sleep(backoff(failures++))
      }
    }
  }

  // Deliver what there is, a page of it; true when there may be more.
  async page() {
    const [{ next_cursor: next, events }] = await this.owner.query(POLL, [this.subject, this.cursor])

    for (const event of events) {
      if (this.stopped) return false
      await this.deliver(event)
    }
    this.cursor = next
    return events.length >= PAGE
  }

  // An event is delivered once, whatever comes of it.
  async deliver(event) {
    try {
      await this.onEvent(event)
    } catch (error) {
      this.owner.onError(error)
    }
  }

  wake() {
    this.nap.wake()
  }

  stop() {
    this.stopped = true
    this.wake()
  }
}

// One connection that listens for all subscriptions, made again when it breaks.
class Listener {
  constructor(owner) {
    this.owner = owner
    this.stopped = false
    this.nap = new Nap()
    this.running = this.run()
  }

  async run() {
    for (let failures = 0; !this.stopped;) {
      const client = this.client = new Client({ ...this.owner.config, keepAlive: true })
      const ended = new Promise(resolve => client.once('end', resolve))

      client.on('error', this.owner.onError)
      client.on('notification', ({ payload }) => this.owner.wake(JSON.parse(payload).stream))
      try {
        // A client that is ended while it connects never says whether it has.
        await Promise.race([client.connect(), ended])
        if (this.stopped) break
        await client.query(`LISTEN ${client.escapeIdentifier(`${this.owner.prefix}_events`)}`)
        failures = 0
        // Nobody was told of what was appended until now.
        this.owner.wake(null)
        if (!this.stopped) await ended
      } catch (error) {
        this.owner.onError(error)
      }
      await client.end().catch(() => {})
      if (!this.stopped) await this.nap.sleep(backoff(failures++))
    }
  }

  async stop() {
    this.stopped = true
    this.nap.wake()
    await this.client.end().catch(() => {})
    await this.running
  }
}

// Time to wait in, which ends early when somebody wakes.
class Nap {
  // What wakes from now on counts.
  begin() {
    this.woken = false
  }

  async sleep(milliseconds) {
    if (this.woken) return
    await new Promise(resolve => {
      const timer = setTimeout(resolve, milliseconds)
      this.ring = () => {
        clearTimeout(timer)
        resolve()
      }
    })
    this.ring = undefined
  }

  wake() {
    this.woken = true
    this.ring?.()
  }
}

// 50 milliseconds, and up to 2 seconds when it fails again and again.
function backoff(failures) {
  return Math.min(50 * 2 ** failures, 2000) * (0.5 + Math.random() / 2)
}

module.exports = { Subscriptions }
