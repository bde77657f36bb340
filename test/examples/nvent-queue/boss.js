// PgBoss: the interface of pg-boss.  What a caller passes as { db } is its own
// connection or transaction.
'use strict'

const { randomUUID } = require('node:crypto')
const { EventEmitter } = require('node:events')
const { Database, call } = require('./database')
const { queueOptions, jobOptions, jobObject, fetchOptions, checkOptions, REFUSED_REDRIVE, REFUSED_STATS } =
  require('./options')
const { toJob, toQueue, toStats, toSchedule, response, page } = require('./rows')
const { Worker, toOutput } = require('./worker')

// The options that are not of node-postgres.
const OWN = ['store', 'schema', 'migrate', 'supervise', 'maintenanceIntervalSeconds', 'db']

const sleep = milliseconds => new Promise(resolve => setTimeout(resolve, milliseconds))

// Of columns that are no intervals.
const TYPES = { retry_limit: 'int', retry_backoff: 'boolean', dead_letter: 'text' }

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
    checkOptions(all)
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

  // Tries that often, with pauses of 1 to 30 seconds.
  async start({ attempts = 1 } = {}) {
    for (let i = 1, wait = 1000; ; i++, wait = Math.min(2 * wait, 30000)) {
      try {
        return await this.begin()
      } catch (error) {
        if (i >= attempts) throw error
        await sleep(wait)
      }
    }
  }

  async begin() {
    this.database.open()
    if (this.options.migrate) await this.database.query('SELECT nvent.store_ensure($1)', [this.store])
    Object.assign(this, await this.database.tables())
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

  async supervise() {
    await this.maintain()
  }

  // What pg-boss does now and then, and the server here.
  isMaintaining() { return false }
  isBamWorking() { return false }
  isResolvingFlow() { return false }
  isCheckingSkew() { return false }
  isTimekeeping() { return false }
  async resolveFlow() {}
  async getReindexCommands() { return [] }
  async getBamStatus() { return [] }
  async getBamEntries() { return [] }

  getDb() {
    return { executeSql: (text, values) => this.database.pool.query(text, values) }
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
    const lease = options.heartbeatSeconds === undefined ? 'CASE WHEN lease < max_run THEN lease ELSE $? END' : '$?'

    // One that sends no more heartbeats has the job as long as an attempt may last.
    if (options.heartbeatSeconds === null && changes.lease === undefined)
      await this.database.query(`UPDATE ${this.queues} SET lease = coalesce(max_run, lease) WHERE name = $1`, [name])
    if (set.length === 0) return
    const assign = ([column], i) => `${column} = ${(column === 'lease' ? lease : '$?').replace('$?',
      `$${i + 2}::${TYPES[column] ?? 'interval'}`)}`
    await this.database.query(`UPDATE ${this.queues} SET updated_at = now(), ${set.map(assign).join(', ')} WHERE name = $1`,
    [name, ...set.map(([, value]) => value)])
  }

  async deleteQueue(name) {
    await this.database.value('queue_drop', [name])
  }

  async getQueues(names, options) {
    return page((await this.database.query(`SELECT *,
      extract(epoch FROM oldest_age)::float8 AS oldest_s, extract(epoch FROM lease)::float8 AS lease_s,
      extract(epoch FROM max_run)::float8 AS run_s, extract(epoch FROM retry_delay)::float8 AS delay_s,
      extract(epoch FROM retry_delay_max)::float8 AS delay_max_s, extract(epoch FROM keep_queued)::float8 AS queued_s,
      extract(epoch FROM keep_ended)::float8 AS ended_s
      FROM ${this.queues}, nvent.queue_stats(name, $2) AS s
      WHERE $1::text[] IS NULL OR name = ANY ($1) ORDER BY name COLLATE "C"`, [names ?? null, this.store])).map(toQueue),
    options, (queue, name) => queue.name === name)
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

  // Those that have ended, or all that there are, of all queues without a name.
  deleteStoredJobs(name) {
    return this.deleteIn(name, ['completed', 'cancelled', 'failed'])
  }

  async deleteAllJobs(name) {
    let deleted = 0

    for (const queue of name === undefined ? (await this.getQueues(undefined, { limit: 100000 })).map(q => q.name) : [name])
      deleted += await this.deleteIn(queue, undefined)
    return deleted
  }

  async deleteIn(name, states) {
    for (let deleted = 0, after; ;) {
      const ids = (await this.database.rows('queue_find', [name], { states, after })).map(row => row.id)

      if (ids.length === 0) return deleted
      deleted += (await this.database.rows('queue_delete_many', [name, ids])).length
      after = ids[ids.length - 1]
    }
  }

  // What there is of jobs now; there is no history.
  async getQueueStats(name, options = {}) {
    checkOptions(options, REFUSED_STATS)
    return (await this.database.query(`SELECT *, extract(epoch FROM oldest_age)::float8 AS oldest_s
      FROM nvent.queue_stats($1, $2)`, [name, this.store])).map(toStats)
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

  async getDependencies(name, id, options) {
    return this.related('queue_parents', name, id, options)
  }

  async getDependents(name, id, options) {
    return this.related('queue_children', name, id, options)
  }

  async related(call, name, id, { db, ...options } = {}) {
    return page((await this.database.rows(call, [name, id], {}, db)).map(row => ({ name: row.queue, id: row.id })), options,
      (job, other) => job.name === other.name && job.id === other.id)
  }

  async fetch(name, options = {}) {
    const rows = await this.database.rows('queue_fetch', [name], fetchOptions(options), options.db)

    this.forget()
    for (const row of rows) this.attempts.set(`${name} ${row.id}`, row)
    return this.toJobs(name, rows, options)
  }

  // As fetch() and work() give them; with metadata they are read once more.
  async toJobs(name, rows, { includeMetadata, db } = {}) {
    if (!includeMetadata || rows.length === 0) return rows.map(row => toJob(name, row))
    const full = await this.database.query(`SELECT g.* FROM unnest($2::bigint[]) WITH ORDINALITY AS j(id, n),
      nvent.queue_get($1, j.id, $3) AS g ORDER BY n`, [name, rows.map(row => row.id), this.store], db)
    const fetched = new Map(rows.map(row => [String(row.id), row]))

    return this.withOptions(name, full.map(row => ({ ...row, ...fetched.get(row.id) })), db)
  }

  // Jobs with what was said of them, or of their queue.
  async withOptions(name, rows, db) {
    if (rows.length === 0) return []
    const options = await this.database.query(`SELECT j.id, q.policy, j.group_name,
        coalesce(j.retry_limit, q.retry_limit) AS retry_limit, coalesce(j.retry_backoff, q.retry_backoff) AS retry_backoff,
        coalesce(j.dead_letter, q.dead_letter) AS dead_letter,
        extract(epoch FROM coalesce(j.retry_delay, q.retry_delay))::float8 AS delay_s,
        extract(epoch FROM coalesce(j.retry_delay_max, q.retry_delay_max))::float8 AS delay_max_s,
        extract(epoch FROM coalesce(j.lease, q.lease))::float8 AS lease_s,
        extract(epoch FROM coalesce(j.max_run, q.max_run))::float8 AS run_s,
        extract(epoch FROM q.keep_ended)::float8 AS ended_s, extract(epoch FROM q.keep_queued)::float8 AS queued_s
      FROM ${this.jobs} AS j JOIN ${this.queues} AS q ON q.number = j.queue WHERE j.id = ANY ($1)`,
    [rows.map(row => row.id)], db)
    const of = new Map(options.map(row => [row.id, row]))

    return rows.map(row => toJob(name, { ...row, ...of.get(String(row.id)) }, true))
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

  fetched(name, { id, retryCount, attempt }) {
    const key = `${name} ${id}`
    const known = attempt ?? this.attempts.get(key)?.attempt ?? null

    this.attempts.delete(key)
    return retryCount === undefined || attempt !== undefined ? known : null
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

  // A function of some jobs, in the order of their ids; of one that is named with
  // its retryCount if it is at this attempt, when we look.
  async each(call, name, jobs, { db } = {}) {
    const list = [jobs].flat().map(job => typeof job === 'object' ? job : { id: job })

    return response(list.length, await this.database.query(`SELECT id FROM nvent.${call}($1, ARRAY(SELECT j.id
      FROM unnest($2::bigint[], $3::int[]) AS j(id, retries)
      WHERE retries IS NULL
        OR EXISTS (SELECT FROM nvent.queue_get($1, j.id, $4) AS g WHERE g.retries = j.retries)), $4) AS id`,
    [name, list.map(job => job.id), list.map(job => job.retryCount ?? null), this.store], db))
  }

  cancel(name, jobs, options) {
    return this.each('queue_cancel_many', name, jobs, options)
  }

  resume(name, jobs, options) {
    return this.each('queue_resume_many', name, jobs, options)
  }

  retry(name, jobs, options) {
    return this.each('queue_retry_many', name, jobs, options)
  }

  deleteJob(name, jobs, options) {
    return this.each('queue_delete_many', name, jobs, options)
  }

  async update(...args) {
    const { id, named, name, data, options } = changes(args)
    const rows = await this.database.rows('queue_update', [name],
      { id, data, ...named, match: options.match }, options.db)
    const jobs = rows.map(row => row.queue_update)

    return { jobs, updated: jobs.length }
  }

  // Which job has the data now, and whether it was changed or sent.
  async upsert(...args) {
    const { id, named, name, data, options } = changes(args)

    if (id !== undefined) throw new Error('upsert goes by singletonKey')
    const { text, values } = call('queue_upsert', [name], { data, ...named, store: this.store })
    // What was not there when the statement began is new; also what somebody
    // else has sent while this one waited for the key.
    const [{ job, known }] = await this.database.query(`SELECT u.job, EXISTS (SELECT FROM nvent.queue_get($1, u.job,
      store => $${values.length})) AS known FROM ${text} AS u(job)`, values, options.db)

    return job === null ? { jobs: [], updated: 0, inserted: 0 }
      : { jobs: [job], updated: known ? 1 : 0, inserted: known ? 0 : 1 }
  }

  async redrive(name, { limit, sourceName, destination, db, ...rest } = {}) {
    checkOptions(rest, REFUSED_REDRIVE)
    const rows = await this.database.rows('queue_redrive', [name],
      { max_count: limit, source: sourceName, target: destination }, db)

    return rows.filter(row => row.job !== null).length
  }

  // How many redrive() would move, to where, and how many not.
  async previewRedrive(name, { limit, sourceName, destination, db, ...rest } = {}) {
    checkOptions(rest, REFUSED_REDRIVE)
    const rows = await this.database.rows('queue_redrive', [name],
      { max_count: limit, source: sourceName, target: destination, preview: true }, db)
    const counts = new Map()

    for (const { target } of rows) if (target !== null) counts.set(target, (counts.get(target) ?? 0) + 1)
    return { total: rows.length, destinations: [...counts].map(([name, count]) => ({ name, count }))
      .sort((a, b) => b.count - a.count), unroutable: rows.filter(row => row.target === null).length }
  }

  async getBlockedKeys(name, options) {
    return page((await this.database.rows('queue_blocked', [name])).map(row => row.key), options)
  }

  async getJobById(name, id, { db } = {}) {
    return (await this.withOptions(name, await this.database.rows('queue_get', [name, id], {}, db), db))[0] ?? null
  }

  async findJobs(name, { id, key, data, queued, limit, after, db } = {}) {
    if (id !== undefined && (key ?? data ?? queued) !== undefined) {
      throw new Error('findJobs goes by id, or by key, data and whether a job is queued')
    }
    const rows = id !== undefined ? await this.database.rows('queue_get', [name, id], {}, db)
      : await this.database.rows('queue_find', [name], { key, data: data === undefined ? undefined : toJson(data),
        states: queued ? ['waiting', 'created', 'retry'] : undefined, max_count: limit, after }, db)

    return this.withOptions(name, rows, db)
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
      handle: async (rows, signal) => handle(await this.toJobs(name, rows, { includeMetadata: options.includeMetadata }),
        rows, signal, options, handler) })))
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

  async schedule(name, cron, data, { tz, key, missed, db, ...options } = {}) {
    await this.database.value('schedule_job', [scheduleName(name, key), name,
      JSON.stringify(jobObject(data ?? {}, options))], { cron, time_zone: tz ?? 'UTC', missed: missed ?? 'skip' }, db)
  }

  async unschedule(name, key, { db } = {}) {
    await this.database.value('schedule_delete', [scheduleName(name, key)], {}, db)
  }

  async getSchedule(name, key = '') {
    return (await this.getSchedules(name, key))[0] ?? null
  }

  async getSchedules(name, key, options) {
    const rows = await this.database.rows('schedule_list', [])

    return page(rows.filter(row => row.queue !== null).map(toSchedule)
      .filter(schedule => (name === undefined || schedule.name === name) && (key === undefined || schedule.key === key)),
    options, (schedule, other) => schedule.name === other.name && schedule.key === other.key)
  }

  async previewSchedule(cron, { tz = 'UTC', from = new Date(), count = 5 } = {}) {
    return (await this.database.query('SELECT nvent.schedule_preview($1, $2, $3, $4) AS at', [cron, tz, from, count]))
      .map(row => row.at)
  }
}

// The attempt at some jobs, as queue_work() takes its results.
async function handle(jobs, rows, signal, options, handler) {
  const result = await handler(jobs.map(job => ({ ...job, signal })))

  if (!options.perJobResults)
    return { failed: [], completed: rows.map(row => ({ ...row, output: rows.length === 1 ? toOutput(result) : null })) }

  const results = new Map(result.map(({ id, status, output }) => [String(id), { status, output: toOutput(output) }]))
  const of = (...all) => rows.filter(row => all.includes(results.get(String(row.id))?.status))
    .map(row => [row, results.get(String(row.id)).output])
  const missing = rows.filter(row => !['completed', 'failed', 'deadletter'].includes(results.get(String(row.id))?.status))
    .map(row => ({ ...row, error: { message: 'the handler gave no result, completed or failed' } }))

  return { completed: of('completed').map(([row, output]) => ({ ...row, output })),
    failed: [...of('failed', 'deadletter').map(([row, error]) => ({ ...row, error })), ...missing] }
}

// Of update() and upsert(), whose job is named by an id or its key.
function changes(args) {
  const { name, data, options = {} } = typeof args[0] === 'object' ? args[0]
    : { name: args[0], data: args[1], options: args[2] }
  const { id, match, ...rest } = options

  // null takes the place of what there was.
  return { name, id, data: data === undefined ? undefined : JSON.stringify(data), named: jobOptions(rest), options }
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

function scheduleName(name, key) {
  return key ? `${name}:${key}` : name
}

function snake(name) {
  return name.replace(/[A-Z]/g, letter => `_${letter.toLowerCase()}`)
}

function toJson(value) {
  return value === undefined || value === null ? null : JSON.stringify(value)
}

module.exports = { PgBoss }
