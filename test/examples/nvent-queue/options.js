// What pg-boss calls its options, as arguments of functions.
'use strict'

const UNITS = { Seconds: 1, Minutes: 60, Hours: 3600, Days: 86400 }

// Why an option is refused, rather than forgotten.
const REFUSED = {
  id: 'ids are given by the database',
  retentionSeconds: 'say it of the queue',
  deleteAfterSeconds: 'say it of the queue'
}
const REFUSED_FETCH = {
  priority: 'jobs come by priority, and those of one by age',
  ignoreStartAfter: 'use update() to start a job now',
  minPriority: 'use several queues',
  maxPriority: 'use several queues',
  groupConcurrency: 'say it of the queue',
  localGroupConcurrency: 'say groupConcurrency of the queue',
  ignoreGroups: 'a group waits by the groupConcurrency of the queue',
  transactional: 'pass { db } to complete()'
}

const REFUSED_REDRIVE = {
  data: 'use findJobs() and send()',
  createdBefore: 'dead letters go the oldest first: say limit',
  ids: 'use findJobs() and send()'
}
const HISTORY = 'there is no history: keep what getQueueStats() tells'
const REFUSED_STATS = Object.fromEntries(['from', 'to', 'limit', 'bucketSeconds', 'maxDataPoints', 'aggregate', 'percentiles']
  .map(name => [name, HISTORY]))
const REFUSED_QUEUE = {
  partition: 'queues share their tables',
  warningQueueSize: 'look at getQueueStats()'
}
// Of the constructor; what else pg-boss says of its own upkeep needs nothing here.
const REFUSED_BOSS = {
  clock: 'times are the database\'s',
  persistQueueStats: HISTORY,
  persistWarnings: 'there are no warnings',
  __test__enableSpies: 'there are no spies'
}

// Refuse what would be forgotten.
function checkOptions(options, refused = REFUSED_BOSS) {
  if (options.backend !== undefined && options.backend !== 'postgres')
    throw new Error(`the option "backend" is postgres here, not ${options.backend}`)
  refuse(options, refused)
}

function refuse(options, refused) {
  for (const [name, why] of Object.entries(refused))
    if (options[name] !== undefined && options[name] !== null && options[name] !== (name === 'priority'))
      throw new Error(`the option "${name}" is not there: ${why}`)
}

// An interval from name + Seconds, Minutes, Hours or Days, undefined for none.
function span(options, name) {
  let seconds

  for (const [unit, factor] of Object.entries(UNITS))
    if (options[name + unit] !== undefined && options[name + unit] !== null)
      seconds = (seconds ?? 0) + options[name + unit] * factor
  return interval(seconds)
}

function interval(seconds) {
  if (seconds === undefined || seconds === null) return undefined
  if (!Number.isFinite(seconds)) throw new Error(`${seconds} is not a number of seconds`)
  return `${seconds} seconds`
}

// How often and how long: of a queue and of a job.  The lease of a job that
// sends heartbeats is what may pass between two of them.
function attemptOptions(options) {
  const expire = span(options, 'expireIn')

  return {
    lease: span(options, 'heartbeat') ?? expire,
    max_run: expire,
    retry_limit: options.retryLimit ?? undefined,
    retry_delay: interval(options.retryDelay),
    retry_backoff: options.retryBackoff ?? undefined,
    retry_delay_max: interval(options.retryDelayMax),
    dead_letter: options.deadLetter ?? undefined
  }
}

function queueOptions(options) {
  refuse(options, REFUSED_QUEUE)
  return {
    policy: options.policy,
    group_limit: groupLimit(options.groupConcurrency),
    ...attemptOptions(options),
    keep_queued: span(options, 'retention'),
    keep_ended: span(options, 'deleteAfter')
  }
}

function startOptions(after) {
  if (after === undefined || after === null) return {}
  if (typeof after === 'number') return { start_after: interval(after) }
  return { start_at: after instanceof Date ? after.toISOString() : after }
}

// A number, or pg-boss's { default }.
function groupLimit(limit) {
  if (typeof limit !== 'object' || limit === null) return limit
  if (Object.keys(limit.tiers ?? {}).length > 0)
    throw new Error('the option "tiers" is not there: a queue has one limit for all groups')
  return limit.default
}

function groupName(group) {
  if (group?.tier !== undefined) throw new Error('the option "tier" is not there: a queue has one limit for all groups')
  return group?.id
}

// All that is said of a job but its data, by arguments of queue_send().
function jobOptions(options) {
  const slot = span(options, 'singleton')

  refuse(options, REFUSED)
  return {
    priority: options.priority ?? undefined,
    key: options.singletonKey ?? undefined,
    group_name: groupName(options.group),
    ...startOptions(options.startAfter),
    ...attemptOptions(options),
    throttle: options.singletonNextSlot ? undefined : slot,
    debounce: options.singletonNextSlot ? slot : undefined
  }
}

// The same and its data as an object of queue_send_batch().
function jobObject(data, options) {
  const job = { data: data ?? undefined }
  const { group_name: group, ...rest } = jobOptions(options)

  for (const [name, value] of Object.entries(rest))
    job[name.replace(/_(.)/g, (_, letter) => letter.toUpperCase())] = value
  return { ...job, group }
}

function fetchOptions(options) {
  refuse(options, REFUSED_FETCH)
  return { max_count: options.batchSize ?? 1 }
}

module.exports = { queueOptions, jobOptions, jobObject, fetchOptions, checkOptions, REFUSED_REDRIVE, REFUSED_STATS }
