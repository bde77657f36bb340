// What the functions return, as pg-boss has it.
'use strict'

// A job that waits for others is one that is created and blocked.
function toJob(name, row, metadata) {
  const job = { id: String(row.id), name, data: row.data, retryCount: row.retries, attempt: row.attempt,
    leaseUntil: date(row.lease_until) }

  if (!metadata) return job
  const { queue, id, createdAt, attempts, error, root } = row.origin ?? {}
  return { ...job, state: row.state === 'waiting' ? 'created' : row.state ?? 'active', priority: row.priority,
    singletonKey: row.key ?? null, createdOn: date(row.created_at), startAfter: date(row.start_at ?? row.created_at),
    startedOn: date(row.started_at), completedOn: date(row.ended_at), output: row.output ?? null,
    blocked: row.state === 'waiting', pendingDependencies: row.waits_for ?? 0,
    sourceName: queue ?? null, sourceId: id === undefined ? null : String(id), sourceCreatedOn: date(createdAt),
    sourceRetryCount: attempts === undefined ? null : attempts - 1, sourceOutput: error ?? null,
    sourceRootId: root === undefined ? id === undefined ? null : String(id) : String(root.id ?? root),
    origin: row.origin ?? null, policy: row.policy, groupId: row.group_name ?? null, groupTier: null,
    ...toOptions(row), keepUntil: row.queued_s === null ? null
      : new Date(date(row.start_at ?? row.created_at).getTime() + row.queued_s * 1000) }
}

// What is said of a queue, and of a job.
function toOptions(row) {
  return { expireInSeconds: row.run_s ?? row.lease_s,
    heartbeatSeconds: row.run_s !== null && row.lease_s < row.run_s ? row.lease_s : null,
    retryLimit: row.retry_limit, retryDelay: row.delay_s, retryBackoff: row.retry_backoff, retryDelayMax: row.delay_max_s,
    deadLetter: row.dead_letter, deleteAfterSeconds: row.ended_s ?? 0 }
}

// A queue with the numbers of its jobs.
function toQueue(row) {
  const { name, capturedOn, ...counts } = toStats(row)

  return { name: row.name, policy: row.policy, groupConcurrency: row.group_limit, ...toOptions(row),
    leaseSeconds: row.lease_s, retentionSeconds: row.queued_s, paused: row.paused_at !== null, createdOn: row.created_at, updatedOn: row.updated_at,
    ...counts }
}

// Numbers of now; what pg-boss has of a time is null, as where it keeps no history.
function toStats(row) {
  const count = name => Number(row[name])

  return { name: row.queue, deferredCount: count('deferred') + count('retry'), queuedCount: count('depth'),
    readyCount: count('ready'), blockedCount: count('blocked') + count('waiting'), activeCount: count('active'),
    failedCount: count('failed'), completedCount: count('completed'), cancelledCount: count('cancelled'),
    totalCount: ['depth', 'active', 'failed', 'completed', 'cancelled'].reduce((sum, name) => sum + count(name), 0),
    completedDelta: null, failedDelta: null, createdDelta: null, deltaSeconds: null, deltaOn: null, waitBins: null,
    runBins: null, readyOldestSeconds: row.oldest_s, capturedOn: new Date() }
}

function toSchedule(row) {
  const { data, ...options } = row.job

  return { name: row.queue, key: row.name.slice(row.queue.length + 1), kind: 'cron', cron: row.cron,
    timezone: row.time_zone, data: data ?? null, options: { ...options, tz: row.time_zone, missed: row.missed },
    nextRunOn: row.next_run_at }
}

// pg-boss's answer to what was done to jobs.
function response(requested, rows, column = 'id') {
  const jobs = rows.map(row => row[column])

  return { jobs, requested, affected: jobs.length }
}

// Of a list in order limit rows, after the one that is like after.
function page(list, { limit = 1000, after } = {}, same = (row, other) => row === other) {
  if (!Number.isInteger(limit) || limit < 1 || limit > 100000) throw new Error(`limit is from 1 to 100000, not ${limit}`)
  const begin = after === undefined ? 0 : list.findIndex(row => same(row, after)) + 1

  if (after !== undefined && begin === 0) throw new Error('there is nothing any more after which to go on')
  return list.slice(begin, begin + limit)
}

function date(time) {
  return time === null || time === undefined ? null : new Date(time)
}

module.exports = { toJob, toQueue, toStats, toSchedule, response, page }
