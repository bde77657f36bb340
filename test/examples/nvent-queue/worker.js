// A worker: one connection that settles what was done and waits for the next
// jobs in one call, in a loop, made again when it breaks.
'use strict'

const { Client } = require('pg')

const WORK = 'CALL nvent.queue_work_await($1, $2, $3, $4, $5, $6, $7)'
const SETTLE = 'SELECT nvent.queue_work($1, $2, $3, 0, $4, $5)'
const TOUCH = `SELECT extract(epoch FROM min(until) - clock_timestamp())::float8 * 1000 AS rest, count(until)::int AS held
  FROM unnest($2::bigint[], $3::int[]) AS j(id, attempt), nvent.queue_touch($1, id, attempt, store => $4) AS until`

class Worker {
  // handle(jobs, signal)  resolves to { completed, failed }, as queue_work() takes them
  // batchSize             jobs at once
  // wait                  seconds until it asks again without being woken
  constructor({ database, queue, id, handle, batchSize, wait }) {
    Object.assign(this, { database, queue, id, handle, batchSize, wait, stopped: false, waiting: false })
    this.nothing()
    this.running = this.run()
  }

  nothing() {
    this.completed = []
    this.failed = []
  }

  get settled() {
    return this.completed.length + this.failed.length === 0
  }

  // Ends when it was stopped and the database has all results.  What was not
  // answered is said again: of a lease that is settled nothing counts twice.
  async run() {
    for (let failures = 0; !(this.stopped && this.settled) && !(this.stopped && failures > 5);) {
      const client = this.client = new Client({ ...this.database.config, keepAlive: true })

      client.on('error', () => {})
      try {
        await client.connect()
        await this.clock()
        for (; !this.stopped; failures = 0) await this.turn()
        if (!this.settled) await this.settle()
      } catch (error) {
        if (!(this.stopped && error.code === '57014')) this.database.onError(error)
        await new Promise(resolve => setTimeout(resolve, backoff(failures++)))
      }
      await client.end().catch(() => {})
    }
  }

  // How much later the clock of the server is, in milliseconds.
  async clock() {
    const { rows } = await this.client.query('SELECT extract(epoch FROM clock_timestamp())::float8 * 1000 AS now')

    this.later = rows[0].now - Date.now()
  }

  async turn() {
    this.waiting = true
    const jobs = await this.next().finally(() => { this.waiting = false })

    this.nothing()
    if (jobs.length > 0) Object.assign(this, await this.attempt(jobs))
  }

  async next() {
    const { rows } = await this.client.query({ name: 'work', text: WORK, values: [this.queue,
      JSON.stringify(this.completed), JSON.stringify(this.failed), this.batchSize, `${this.wait} seconds`, this.id,
      this.database.store] })

    return rows[0].jobs
  }

  async settle() {
    await this.client.query(SETTLE, [this.queue, JSON.stringify(this.completed), JSON.stringify(this.failed), this.id,
      this.database.store])
    this.nothing()
  }

  // Have jobs handled, while their leases are held.
  async attempt(jobs) {
    const lease = new Lease(this, jobs)

    this.lease = lease
    try {
      return await Promise.race([this.handle(jobs, lease.signal), lease.lost])
    } catch (error) {
      return { completed: [], failed: jobs.map(job => ({ ...job, error: toOutput(error) })) }
    } finally {
      lease.end()
      this.lease = undefined
    }
  }

  // Fetch nothing more: ends when what was fetched is settled.
  async stop() {
    this.stopped = true
    // The time that it waits for ends it as well, if this is not allowed.
    if (this.waiting && this.client.processID)
      await this.database.query('SELECT pg_cancel_backend($1)', [this.client.processID]).catch(() => {})
    await this.running
  }

  // Have what is handled fail, to be tried again.
  abandon() {
    this.lease?.lose(new Error('the worker was stopped'))
  }
}

// The leases of jobs, prolonged when half of what is left is over.  They are
// lost when max_run ends, or somebody cancels or deletes a job.
class Lease {
  constructor(worker, jobs) {
    const controller = new AbortController()

    Object.assign(this, { worker, jobs, signal: controller.signal })
    this.lost = new Promise((resolve, reject) => {
      this.lose = error => {
        controller.abort(error)
        reject(error)
      }
    })
    this.lost.catch(() => {})
    this.until = Math.min(...jobs.map(job => Date.parse(job.lease_until))) - worker.later
    this.plan(this.until - Date.now())
  }

  plan(rest) {
    this.timer = setTimeout(() => this.touch(), Math.min(Math.max(rest / 2, 50), 2 ** 30))
  }

  async touch() {
    const { worker, jobs } = this

    try {
      const [{ rest, held }] = await worker.database.query(TOUCH, [worker.queue, jobs.map(job => job.id),
        jobs.map(job => job.attempt), worker.database.store])

      if (this.ended) return
      if (held < jobs.length) return this.lose(new Error('the lease was lost'))
      this.until = Date.now() + rest
    } catch (error) {
      worker.database.onError(error)
    }
    if (this.ended) return
    if (Date.now() >= this.until) return this.lose(new Error('the handler took longer than the lease'))
    this.plan(this.until - Date.now())
  }

  end() {
    this.ended = true
    clearTimeout(this.timer)
  }
}

// 50 milliseconds, and up to 2 seconds when it fails again and again.
function backoff(failures) {
  return Math.min(50 * 2 ** failures, 2000) * (0.5 + Math.random() / 2)
}

// What is kept of a result or an error: an object, null for nothing.
function toOutput(value) {
  if (value === undefined || value === null) return null
  if (value instanceof Error) return { name: value.name, message: value.message, stack: value.stack, ...value }
  return typeof value === 'object' ? value : { value }
}

module.exports = { Worker, toOutput }
