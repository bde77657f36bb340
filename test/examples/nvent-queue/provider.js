// QueueProvider of nvent's plan for PostgreSQL: a queue and its workers by name.
'use strict'

const { PgBoss } = require('./boss')

class QueueProvider {
  // connection  a URL, or what node-postgres takes as configuration
  // store       name of the store, nvent
  // queue       options of queues that enqueue() or work() makes, as of createQueue()
  // onError     is told of errors that no call returns
  constructor({ connection = {}, store = 'nvent', queue = {}, onError = () => {}, ...options } = {}) {
    const config = typeof connection === 'string' ? { connectionString: connection } : connection

    this.boss = new PgBoss({ ...config, ...options, store })
    this.boss.on('error', onError)
    this.queue = queue
    this.made = new Map()
  }

  async init() {
    await this.boss.start()
  }

  // A queue that is there stays as it is.
  make(queue) {
    if (!this.made.has(queue)) {
      const making = this.boss.createQueue(queue, this.queue)

      this.made.set(queue, making)
      making.catch(() => this.made.delete(queue))
    }
    return this.made.get(queue)
  }

  // The id of the job, { data, opts }; null when by the queue's policy there is
  // no other.  A worker calls one handler, so the job's name is the caller's: put
  // it into data where it is wanted.
  async enqueue(queue, { data, opts = {} }) {
    await this.make(queue)
    return this.boss.send(queue, data, toOptions(opts))
  }

  // Has handler(job) called for each job; resolves to what ends that.
  async work(queue, handler, { concurrency = 1, ...options } = {}) {
    await this.make(queue)
    const id = await this.boss.work(queue, { ...options, localConcurrency: concurrency, batchSize: 1 },
      ([job]) => handler(job))

    return { stop: () => this.boss.offWork(queue, { id }) }
  }

  async pause(queue) {
    await this.make(queue)
    return this.boss.pauseQueue(queue)
  }

  async resume(queue) {
    await this.make(queue)
    return this.boss.resumeQueue(queue)
  }

  async stats(queue) {
    await this.make(queue)
    return (await this.boss.getQueueStats(queue))[0]
  }

  // Ends when what was fetched is settled.
  async close() {
    await this.boss.stop()
  }
}

// Options as nvent has them for BullMQ, in milliseconds, and pg-boss's.
function toOptions({ jobId, attempts, backoff, delay, timeout, removeOnComplete, removeOnFail, ...opts }) {
  if (removeOnComplete || removeOnFail)
    throw new Error('the options "removeOnComplete" and "removeOnFail" are not there: say deleteAfterSeconds of the queue')
  return { singletonKey: jobId, retryLimit: attempts === undefined ? undefined : Math.max(attempts - 1, 0),
    retryDelay: seconds(backoff?.delay), retryBackoff: backoff ? backoff.type === 'exponential' : undefined,
    startAfter: seconds(delay), expireInSeconds: seconds(timeout), ...opts }
}

function seconds(milliseconds) {
  return milliseconds === undefined ? undefined : milliseconds / 1000
}

module.exports = { QueueProvider }
