// PgBoss: the interface of pg-boss.  What a caller passes as { db } is its own
// connection or transaction.
'use strict'

const { randomUUID } = require('node:crypto')
const { EventEmitter } = require('node:events')
const { Database } = require('./database')
const { queueOptions, jobOptions, jobObject, fetchOptions } = require('./options')
const { Worker, toOutput } = require('./worker')

// The options that are not of node-postgres.
const OWN = ['store', 'schema', 'migrate', 'supervise', 'schedule', 'maintenanceIntervalSeconds', 'db']

class PgBoss extends EventEmitter {
  // A URL, or what node-postgres takes as configuration, and
  // store      name of the store, nvent; pg-boss's schema says the same
  // migrate    whether start() creates or migrates the store
  // supervise  whether it calls nvent.maintain() every
  // maintenanceIntervalSeconds, 30: needed where the server has no maintenance process
  constructor(options = {}) {
    super()
    const all = typeof options === 'string' ? { connectionString: options } : options

    if (all.db) throw new Error('pass { db } to the calls that are to use it')
    this.options = { migrate: true, supervise: true, maintenanceIntervalSeconds: 30, ...all }
    this.store = all.store ?? all.schema ?? 'nvent'
    this.database = new Database({ store: this.store, onError: error => this.onError(error),
      connection: Object.fromEntries(Object.entries(all).filter(([name]) => !OWN.includes(name))) })
    this.workers = new Map()
    this.attempts = new Map()
  }

  onError(error) {
    if (this.listenerCount('error') > 0) this.emit('error', error)
  }

  async start() {
    this.database.open()
    if (this.options.migrate) await this.database.query('SELECT nvent.store_ensure($1)', [this.store])
    this.queues = await this.database.queues()
    if (this.options.supervise) {
      this.timer ??= setInterval(() => this.maintain().catch(error => this.onError(error)),
        this.options.maintenanceIntervalSeconds * 1000)
      this.timer.unref()
    }
    return this
  }

  // graceful  wait until what was fetched is settled, timeout milliseconds at most
  async stop({ graceful = true, timeout = 30000, close = true } = {}) {
    const all = [...this.workers.values()].flat()
    const ended = Promise.all(all.map(worker => worker.stop()))
    const timer = setTimeout(() => all.forEach(worker => worker.abandon()), graceful ? timeout : 0)

    clearInterval(this.timer)
    this.timer = undefined
    await ended
    clearTimeout(timer)
    this.workers.clear()
    if (close) await this.database.close()
    this.emit('stopped')
  }

  // Whether the store is there, and the number of its layout, null for none.
  async isInstalled() {
    return await this.schemaVersion() !== null
  }

  async schemaVersion() {
    return (await this.database.query('SELECT nvent.store_version($1) AS layout', [this.store]))[0].layout
  }

  maintain() {
    return this.database.value('maintain', [])
  }

  // Queues

  async createQueue(name, options = {}) {
    await this.database.value('queue_create', [name], queueOptions(options))
  }

  async updateQueue(name, options = {}) {
    const { policy, group_limit: limit, ...changes } = queueOptions(options)

    if (policy || limit) throw new Error('a queue keeps its policy and groupConcurrency')
    for (const key of ['deadLetter', 'retryDelayMax']) if (options[key] === null) changes[snake(key)] = null
    const set = Object.entries(changes).filter(([, value]) => value !== undefined)

    if (set.length === 0) return
    await this.database.query(`UPDATE ${this.queues} SET updated_at = now(), ${
      set.map(([column], i) => `${column} = $${i + 2}`).join(', ')} WHERE name = $1`,
    [name, ...set.map(([, value]) => value)])
  }

  async deleteQueue(name) {
    await this.database.value('queue_drop', [name])
  }

  async getQueues(names) {
    return (await this.database.query(`SELECT *, extract(epoch FROM lease)::float8 AS lease_s,
      extract(epoch FROM max_run)::float8 AS run_s, extract(epoch FROM retry_delay)::float8 AS delay_s,
      extract(epoch FROM retry_delay_max)::float8 AS delay_max_s, extract(epoch FROM keep_queued)::float8 AS queued_s,
      extract(epoch FROM keep_ended)::float8 AS ended_s
      FROM ${this.queues} WHERE $1::text[] IS NULL OR name = ANY ($1) ORDER BY name`, [names ?? null])).map(toQueue)
  }

  async getQueue(name) {
    return (await this.getQueues([name]))[0] ?? null
  }

  async pauseQueue(name) {
    return this.database.value('queue_pause', [name])
  }

  async resumeQueue(name) {
    return this.database.value('queue_unpause', [name])
  }

  async deleteQueuedJobs(name) {
    return Number(await this.database.value('queue_purge', [name]))
  }

  purgeQueue(name) {
    return this.deleteQueuedJobs(name)
  }

  // What there is of jobs now; there is no history.
  async getQueueStats(name) {
    return (await this.database.rows('queue_stats', [name])).map(toStats)
  }

  // Jobs that have not been fetched, or those in states before another one.
  async getQueueSize(name, { before = 'active' } = {}) {
    const [{ deferredCount, queuedCount, readyCount, activeCount, ...rest }] = await this.getQueueStats(name)
    const first = { retry: readyCount + deferredCount, active: queuedCount, completed: queuedCount + activeCount }

    if (first[before] === undefined) throw new Error(`getQueueSize: before is retry, active or completed, not ${before}`)
    return first[before]
  }

  // Jobs

  async send(...args) {
    const { name, data, options } = typeof args[0] === 'object' ? args[0]
      : { name: args[0], data: args[1], options: args[2] }

    return this.database.value('queue_send', [name, toJson(data)], jobOptions(options ?? {}), options?.db)
  }

  sendAfter(name, data, options, after) {
    return this.send(name, data, { ...options, startAfter: after })
  }

  sendThrottled(name, data, options, seconds, key) {
    return this.send(name, data, { ...options, singletonSeconds: seconds, singletonKey: key })
  }

  sendDebounced(name, data, options, seconds, key) {
    return this.send(name, data, { ...options, singletonSeconds: seconds, singletonNextSlot: true, singletonKey: key })
  }

  // insert(name, jobs), or insert(jobs) with a name each, for jobs of one queue.
  async insert(...args) {
    const [name, jobs, options] = Array.isArray(args[0]) ? [args[0][0]?.name, ...args] : args

    if (jobs.some(job => (job.name ?? name) !== name)) throw new Error('insert takes jobs of one queue')
    const rows = await this.database.rows('queue_send_batch', [name,
      jobs.map(({ name: _, data, ...rest }) => jobObject(data, rest))], {}, options?.db)

    return rows.map(row => row.queue_send_batch).filter(id => id !== null)
  }

  // Jobs that wait for others, by the ref of each; the answer has their ids.
  async flow(jobs, options = {}) {
    const order = parentsFirst(jobs)
    const rows = await this.database.rows('queue_flow', [order.map(job => ({ name: job.ref, queue: job.name,
      after: job.dependsOn ?? [], onFailure: 'wait', ...jobObject(job.data, job.options ?? {}) }))], {}, options.db)

    return Object.fromEntries(order.map((job, i) => [job.ref, rows[i].queue_flow]))
  }

  async getDependencies(name, id) {
    return (await this.database.rows('queue_parents', [name, id])).map(row => ({ name: row.queue, id: row.id }))
  }

  async getDependents(name, id) {
    return (await this.database.rows('queue_children', [name, id])).map(row => ({ name: row.queue, id: row.id }))
  }

  async fetch(name, options = {}) {
    const rows = await this.database.rows('queue_fetch', [name], fetchOptions(options), options.db)

    this.forget()
    return rows.map(row => {
      this.attempts.set(`${name} ${row.id}`, row)
      return toJob(name, row, options.includeMetadata)
    })
  }

  // Attempts that can be settled no more.
  forget() {
    for (const [key, { lease_until: until }] of this.attempts)
      if (until < Date.now() - 3600000) this.attempts.delete(key)
  }

  // The ids and attempts of jobs to settle: of one that this object fetched, or
  // that was named with its retryCount, this attempt; else the one that is active.
  async active(name, jobs, db) {
    const list = [jobs].flat().map(job => typeof job === 'object' ? job : { id: job })
    const rows = await this.database.query(`SELECT g.id, coalesce(j.attempt, g.attempt) AS attempt
      FROM unnest($2::bigint[], $3::int[], $4::int[]) AS j(id, attempt, retries), nvent.queue_get($1, j.id, $5) AS g
      WHERE g.state = 'active' AND (j.retries IS NULL OR g.retries = j.retries) ORDER BY g.id`,
    [name, list.map(job => job.id), list.map(job => this.fetched(name, job)), list.map(job => job.retryCount ?? null),
      this.store], db)

    return { ids: rows.map(row => row.id), attempts: rows.map(row => row.attempt), requested: list.length }
  }

  fetched(name, { id, retryCount }) {
    const key = `${name} ${id}`
    const attempt = this.attempts.get(key)?.attempt ?? null

    this.attempts.delete(key)
    return retryCount === undefined ? attempt : null
  }

  async complete(name, jobs, data, { db, includeQueued } = {}) {
    if (includeQueued) throw new Error('the option "includeQueued" is not there: only what was fetched is completed')
    const { ids, attempts, requested } = await this.active(name, jobs, db)
    const output = toJson(toOutput(data))

    return response(requested, await this.database.rows('queue_complete_many', [name, ids, attempts],
      { outputs: output === null ? undefined : ids.map(() => output) }, db), 'queue_complete_many')
  }

  async fail(name, jobs, data, { db } = {}) {
    const { ids, attempts, requested } = await this.active(name, jobs, db)

    return response(requested, await this.database.query(`SELECT id FROM unnest($2::bigint[], $3::int[]) AS j(id, attempt)
      WHERE nvent.queue_fail($1, id, attempt, $4, $5)`, [name, ids, attempts, toJson(toOutput(data)), this.store], db))
  }

  async touch(name, jobs, { db } = {}) {
    const { ids, attempts, requested } = await this.active(name, jobs, db)

    return response(requested, await this.database.query(`SELECT id FROM unnest($2::bigint[], $3::int[]) AS j(id, attempt)
      WHERE nvent.queue_touch($1, id, attempt, store => $4) IS NOT NULL`, [name, ids, attempts, this.store], db))
  }

  // A function for each of some jobs, in the order of their ids.
  async each(call, name, jobs, { db } = {}) {
    const ids = [jobs].flat().map(job => job.id ?? job)

    return response(ids.length, await this.database.query(`SELECT id FROM (SELECT id FROM unnest($2::bigint[]) AS id
      ORDER BY id) AS j WHERE nvent.${call}($1, id, $3)`, [name, ids, this.store], db))
  }

  cancel(name, jobs, options) {
    return this.each('queue_cancel', name, jobs, options)
  }

  resume(name, jobs, options) {
    return this.each('queue_resume', name, jobs, options)
  }

  retry(name, jobs, options) {
    return this.each('queue_retry', name, jobs, options)
  }

  deleteJob(name, jobs, options) {
    return this.each('queue_delete', name, jobs, options)
  }

  async update(...args) {
    const { id, named, name, data, options } = changes(args)
    const rows = await this.database.rows('queue_update', [name],
      { id, data, ...named, match: options.match }, options.db)
    const jobs = rows.map(row => row.queue_update)

    return { jobs, updated: jobs.length }
  }

  // Which job has the data now, changed or sent.
  async upsert(...args) {
    const { id, named, name, data, options } = changes(args)

    if (id !== undefined) throw new Error('upsert goes by singletonKey')
    const job = await this.database.value('queue_upsert', [name], { data, ...named }, options.db)

    return { jobs: job === null ? [] : [job] }
  }

  async redrive(name, { limit, sourceName, destination, db } = {}) {
    const rows = await this.database.rows('queue_redrive', [name],
      { max_count: limit, source: sourceName, target: destination }, db)

    return rows.filter(row => row.job !== null).length
  }

  async getBlockedKeys(name) {
    return (await this.database.rows('queue_blocked', [name])).map(row => row.key)
  }

  async getJobById(name, id, { db } = {}) {
    return (await this.database.rows('queue_get', [name, id], {}, db)).map(row => toJob(name, row, true))[0] ?? null
  }

  async findJobs(name, { id, key, data, queued, db } = {}) {
    if (id !== undefined && (key ?? data ?? queued) !== undefined) {
      throw new Error('findJobs goes by id, or by key, data and whether a job is queued')
    }
    const rows = id !== undefined ? await this.database.rows('queue_get', [name, id], {}, db)
      : await this.database.rows('queue_find', [name], { key, data: data === undefined ? undefined : toJson(data),
        states: queued ? ['created', 'retry'] : undefined, max_count: 100000 }, db)

    return rows.map(row => toJob(name, row, true))
  }

  // Workers

  // handler gets jobs and returns what to keep with them; with perJobResults an
  // array of { id, status, output }.
  async work(name, ...args) {
    const [options, handler] = args.length > 1 ? args : [{}, args[0]]
    const { max_count: batchSize } = fetchOptions(options)
    const id = randomUUID()

    if (typeof handler !== 'function') throw new Error('work takes a handler')
    // Says that there is no such queue before a worker says so again and again.
    await this.database.rows('queue_fetch', [name], { max_count: 0 })
    this.workers.set(id, Array.from({ length: options.localConcurrency ?? 1 }, () => new Worker({ id, queue: name,
      database: this.database, batchSize, wait: options.pollingIntervalSeconds ?? 30,
      handle: (rows, signal) => handle(name, rows, signal, options, handler) })))
    return id
  }

  async offWork(name, { id, wait = true } = {}) {
    const given = typeof name === 'object' ? name.id : id
    const stopping = [...this.workers].filter(([key, [worker]]) => given === undefined ? worker.queue === name : key === given)
    const ended = Promise.all(stopping.flatMap(([key, workers]) => {
      this.workers.delete(key)
      return workers.map(worker => worker.stop())
    }))

    if (wait) await ended
  }

  // Workers are woken by whoever sends.
  notifyWorker() {}

  // Topics

  async subscribe(event, name) {
    await this.database.value('queue_bind', [name, event])
  }

  async unsubscribe(event, name) {
    await this.database.value('queue_unbind', [name, event])
  }

  async publish(event, data, options = {}) {
    await this.database.rows('queue_publish', [event, toJson(data)], jobOptions(options), options.db)
  }

  // Schedules: the runs send data with scheduleName and scheduledAt beside it.

  async schedule(name, cron, data, { tz, key, missed, ...options } = {}) {
    await this.database.value('schedule_job', [scheduleName(name, key), name,
      JSON.stringify(jobObject(data ?? {}, options))], { cron, time_zone: tz ?? 'UTC', missed })
  }

  async unschedule(name, key) {
    await this.database.value('schedule_delete', [scheduleName(name, key)])
  }

  async getSchedules(name, key) {
    const rows = await this.database.rows('schedule_list', [])

    return rows.filter(row => row.queue !== null).map(toSchedule)
      .filter(schedule => (name === undefined || schedule.name === name) && (key === undefined || schedule.key === key))
  }

  async previewSchedule(cron, { tz = 'UTC', from = new Date(), count = 10 } = {}) {
    return (await this.database.query('SELECT nvent.schedule_preview($1, $2, $3, $4) AS at', [cron, tz, from, count]))
      .map(row => row.at)
  }
}

// The attempt at some jobs, as queue_work() takes its results.
async function handle(name, rows, signal, options, handler) {
  const jobs = rows.map(row => ({ ...toJob(name, row, options.includeMetadata), signal }))
  const result = await handler(jobs)

  if (!options.perJobResults)
    return { failed: [], completed: rows.map(row => ({ ...row, output: rows.length === 1 ? toOutput(result) : null })) }

  const results = new Map(result.map(({ id, status, output }) => [String(id), { status, output: toOutput(output) }]))
  const of = status => rows.filter(row => results.get(String(row.id))?.status === status)
    .map(row => [row, results.get(String(row.id)).output])
  const missing = rows.filter(row => !['completed', 'failed'].includes(results.get(String(row.id))?.status))
    .map(row => ({ ...row, error: { message: 'the handler gave no result, completed or failed' } }))

  return { completed: of('completed').map(([row, output]) => ({ ...row, output })),
    failed: [...of('failed').map(([row, error]) => ({ ...row, error })), ...missing] }
}

// Of update() and upsert(), whose job is named by an id or its key.
function changes(args) {
  const { name, data, options = {} } = typeof args[0] === 'object' ? args[0]
    : { name: args[0], data: args[1], options: args[2] }
  const { id, match, ...rest } = options

  return { name, id, data: data === undefined ? undefined : toJson(data), named: jobOptions(rest), options }
}

function parentsFirst(jobs) {
  const order = []
  let rest = jobs

  while (rest.length > 0) {
    const done = new Set(order.map(job => job.ref))
    const next = rest.filter(job => (job.dependsOn ?? []).every(ref => done.has(ref)))

    if (next.length === 0) throw new Error('jobs wait for one another, or for one that is not there')
    order.push(...next)
    rest = rest.filter(job => !next.includes(job))
  }
  return order
}

function toJob(name, row, metadata) {
  const job = { id: String(row.id), name, data: row.data }

  if (!metadata) return job
  return { ...job, state: row.state ?? 'active', priority: row.priority, attempt: row.attempt, retryCount: row.retries,
    singletonKey: row.key ?? null, createdOn: date(row.created_at), startAfter: date(row.start_at ?? row.created_at),
    startedOn: date(row.started_at), completedOn: date(row.ended_at), leaseUntil: date(row.lease_until),
    output: row.output ?? null, origin: row.origin ?? null }
}

function toQueue(row) {
  return { name: row.name, policy: row.policy, groupConcurrency: row.group_limit, expireInSeconds: row.run_s ?? row.lease_s, leaseSeconds: row.lease_s,
    retryLimit: row.retry_limit, retryDelay: row.delay_s, retryBackoff: row.retry_backoff, retryDelayMax: row.delay_max_s,
    deadLetter: row.dead_letter, retentionSeconds: row.queued_s, deleteAfterSeconds: row.ended_s,
    paused: row.paused_at !== null, createdOn: row.created_at, updatedOn: row.updated_at }
}

function toStats(row) {
  const count = name => Number(row[name])

  return { name: row.queue, deferredCount: count('deferred') + count('retry'), queuedCount: count('depth'),
    readyCount: count('ready'), blockedCount: count('blocked') + count('waiting'), activeCount: count('active'),
    failedCount: count('failed'), completedCount: count('completed'), cancelledCount: count('cancelled'),
    totalCount: ['depth', 'active', 'failed', 'completed', 'cancelled'].reduce((sum, name) => sum + count(name), 0),
    capturedOn: new Date() }
}

function toSchedule(row) {
  const { data, ...options } = row.job

  return { name: row.queue, key: row.name.slice(row.queue.length + 1), cron: row.cron, timezone: row.time_zone,
    data: data ?? null, options, nextRunOn: row.next_run_at }
}

function scheduleName(name, key) {
  return key ? `${name}:${key}` : name
}

// pg-boss's answer to what was done to jobs.
function response(requested, rows, column = 'id') {
  const jobs = rows.map(row => row[column])

  return { jobs, requested, affected: jobs.length }
}

function date(time) {
  return time === null || time === undefined ? null : new Date(time)
}

function snake(name) {
  return name.replace(/[A-Z]/g, letter => `_${letter.toLowerCase()}`)
}

function toJson(value) {
  return value === undefined || value === null ? null : JSON.stringify(value)
}

module.exports = { PgBoss }
