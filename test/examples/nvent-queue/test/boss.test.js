// pg-boss's own example, as it is written, and what its documents promise of
// each method.  Takes a server with the extension, which PGHOST and the like name.
//
// Seen to fail: with active() taking the attempt that is active, and not the one
// that was fetched, a worker whose lease is over completes the job of the next;
// with query() ignoring { db }, what is rolled back is sent; with parentsFirst()
// leaving the order, a flow is refused.
'use strict'

const assert = require('node:assert')
const { after, before, test } = require('node:test')
const { spawnSync } = require('node:child_process')
const { Client } = require('pg')
const { PgBoss } = require('..')

const STORE = 'bossed'
const client = new Client()
const boss = new PgBoss({ schema: STORE, supervise: false, max: 4 })

before(async () => {
  await client.connect()
  await boss.start()
})
after(async () => {
  await boss.stop()
  await client.query('SELECT nvent.store_migrate($1, 0)', [STORE])
  await client.end()
})

// A queue of the test, with options.
async function queue(name, options) {
  await boss.createQueue(name, options)
  return name
}

const state = async (name, id) => (await boss.getJobById(name, id)).state

test('whether the store is there', async () => {
  const other = new PgBoss({ schema: 'unmade', migrate: false })

  assert.strictEqual(await boss.isInstalled(), true)
  assert.ok(await boss.schemaVersion() > 2)
  other.database.open()
  assert.strictEqual(await other.isInstalled(), false)
  assert.strictEqual(await other.schemaVersion(), null)
  await other.database.close()
})

for (const [version, load] of [['12', () => require('..').PgBoss], ['10', () => require('..')]])
  test(`the example of version ${version}`, async () => {
    const lines = []
    const console = { log: line => lines.push(line), error: error => lines.push(error) }
    const PgBoss = load()
    const boss = new PgBoss(`postgres://${process.env.PGUSER}@/${process.env.PGDATABASE}?host=${process.env.PGHOST}`)

    boss.on('error', console.error)

    await boss.start()

    const queue = 'readme-queue'

    await boss.createQueue(queue)

    const id = await boss.send(queue, { arg1: 'read me' })

    console.log(`created job ${id} in queue ${queue}`)

    const done = new Promise(resolve => {
      boss.work(queue, async ([ job ]) => {
        console.log(`received job ${job.id} with data ${JSON.stringify(job.data)}`)
        resolve()
      }).catch(resolve)
    })

    await done
    await boss.stop()
    assert.deepStrictEqual(lines, [`created job ${id} in queue readme-queue`,
      `received job ${id} with data {"arg1":"read me"}`])
    await client.query('SELECT nvent.store_migrate($1, 0)', ['nvent'])
  })

test('imported by names', () => {
  const { status, stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', `
    import Default, { PgBoss, QueueProvider, states, policies, events } from '${require.resolve('..')}'
    console.log(Default === PgBoss, QueueProvider.name, states.retry, policies.key_strict_fifo, events.error)`],
  { encoding: 'utf8' })

  assert.deepStrictEqual([status, stdout], [0, 'true QueueProvider retry key_strict_fifo error\n'], stderr)
})

test('starting, and what the server does by itself', async () => {
  const nowhere = new PgBoss({ host: '/nonexistent', supervise: false })
  const began = Date.now()

  await assert.rejects(nowhere.start({ attempts: 2 }), { code: 'ENOENT' })
  assert.ok(Date.now() - began >= 1000)
  await nowhere.stop()
  await boss.supervise('any')
  await boss.resolveFlow()
  assert.deepStrictEqual([boss.isMaintaining(), await boss.getReindexCommands(), await boss.getBamEntries()], [false, [], []])
  assert.deepStrictEqual((await boss.getDb().executeSql('SELECT $1::int AS n', [3])).rows, [{ n: 3 }])
})

test('queues', async () => {
  await queue('dead')
  const name = await queue('made', { policy: 'short', retryLimit: 5, retryDelay: 3, retryBackoff: true, retryDelayMax: 60,
    expireInMinutes: 10, heartbeatSeconds: 20, retentionDays: 2, deleteAfterSeconds: 3600, deadLetter: 'dead' })
  const { createdOn, updatedOn, ...rest } = await boss.getQueue(name)
  const [{ name: _, capturedOn, ...counts }] = await boss.getQueueStats(name)

  assert.ok(createdOn instanceof Date && updatedOn instanceof Date)
  assert.deepStrictEqual(rest, { name, policy: 'short', groupConcurrency: null, expireInSeconds: 600, heartbeatSeconds: 20,
    leaseSeconds: 20, ...counts, retryLimit: 5,
    retryDelay: 3, retryBackoff: true, retryDelayMax: 60, deadLetter: 'dead', retentionSeconds: 172800,
    deleteAfterSeconds: 3600, paused: false })
  await queue(name, { retryLimit: 1 })
  assert.strictEqual((await boss.getQueue(name)).retryLimit, 5)
  await boss.updateQueue(name, { retryLimit: 7, deadLetter: null, heartbeatSeconds: 30 })
  await boss.updateQueue(name)
  assert.deepStrictEqual((({ retryLimit, deadLetter, leaseSeconds, policy }) => [retryLimit, deadLetter, leaseSeconds,
    policy])(await boss.getQueue(name)), [7, null, 30, 'short'])
  // Heartbeats stay when only expireInSeconds changes, until they are given up.
  const times = async () => (({ expireInSeconds, heartbeatSeconds, leaseSeconds }) =>
    [expireInSeconds, heartbeatSeconds, leaseSeconds])(await boss.getQueue(name))
  await boss.updateQueue(name, { expireInSeconds: 1200 })
  assert.deepStrictEqual(await times(), [1200, 30, 30])
  await boss.updateQueue(name, { heartbeatSeconds: null })
  assert.deepStrictEqual(await times(), [1200, null, 1200])
  await boss.updateQueue(name, { expireInSeconds: 300 })
  assert.deepStrictEqual(await times(), [300, null, 300])
  await assert.rejects(boss.updateQueue(name, { policy: 'standard' }), /keeps its policy/)
  await assert.rejects(boss.createQueue('parts', { partition: true }), /"partition"/)
  assert.deepStrictEqual((await boss.getQueues(['made', 'dead', 'none'])).map(q => q.name), ['dead', 'made'])
  assert.deepStrictEqual((await boss.getQueues(undefined, { after: 'dead', limit: 1 })).map(q => q.name), ['made'])
  await boss.deleteQueue(name)
  assert.strictEqual(await boss.getQueue(name), null)
  await assert.rejects(boss.send(name), { code: '42704' })
  await assert.rejects(boss.work(name, async () => {}), { code: '42704' })
})

test('send, fetch, complete', async () => {
  const name = await queue('plain')
  const first = await boss.send(name, { n: 1 })
  const second = await boss.send({ name, data: { n: 2 }, options: { priority: 5 } })
  const third = await boss.send(name)

  const jobs = (await boss.fetch(name, { batchSize: 10 })).map(({ leaseUntil, ...job }) => {
    assert.ok(leaseUntil > new Date())
    return job
  })
  assert.deepStrictEqual(jobs, [{ id: second, name, data: { n: 2 }, retryCount: 0, attempt: 1 },
    { id: first, name, data: { n: 1 }, retryCount: 0, attempt: 1 }, { id: third, name, data: null, retryCount: 0, attempt: 1 }])
  assert.deepStrictEqual(await boss.fetch(name), [])
  assert.deepStrictEqual(await boss.complete(name, second, { result: 1 }), { jobs: [second], requested: 1, affected: 1 })
  assert.deepStrictEqual(await boss.complete(name, [first, third, '999999']),
    { jobs: [first, third], requested: 3, affected: 2 })
  assert.deepStrictEqual((await boss.complete(name, second)).affected, 0)
  const { createdOn, startAfter, startedOn, completedOn, leaseUntil, keepUntil, ...job } = await boss.getJobById(name, second)
  assert.strictEqual(keepUntil - createdOn, 14 * 86400000)
  assert.ok(createdOn <= startedOn && startedOn <= completedOn && completedOn < leaseUntil && startAfter)
  assert.deepStrictEqual(job, { id: second, name, data: { n: 2 }, state: 'completed', priority: 5, attempt: 1,
    retryCount: 0, singletonKey: null, output: { result: 1 }, blocked: false, pendingDependencies: 0, sourceName: null,
    sourceId: null, sourceCreatedOn: null, sourceRetryCount: null, sourceOutput: null, sourceRootId: null, origin: null,
    policy: 'standard', groupId: null, groupTier: null,
    expireInSeconds: 900, heartbeatSeconds: null, retryLimit: 2, retryDelay: 0, retryBackoff: false, retryDelayMax: null,
    deadLetter: null, deleteAfterSeconds: 604800 })
  assert.strictEqual(await boss.getJobById(name, '999999'), null)
})

test('jobs that start later', async () => {
  const name = await queue('later')

  await boss.send(name, null, { startAfter: 3600 })
  await boss.send(name, null, { startAfter: new Date(Date.now() + 3600000) })
  await boss.sendAfter(name, null, null, new Date(Date.now() + 3600000).toISOString())
  await boss.sendAfter(name, null, null, 3600)
  assert.deepStrictEqual(await boss.fetch(name, { batchSize: 10 }), [])
  const due = await boss.sendAfter(name, null, null, new Date(Date.now() - 1000))
  assert.deepStrictEqual((await boss.fetch(name, { batchSize: 10 })).map(job => job.id), [due])
  assert.strictEqual(await boss.deleteQueuedJobs(name), 4)
})

test('keys and slots', async () => {
  const short = await queue('short', { policy: 'short' })

  assert.ok(await boss.send(short, null, { singletonKey: 'a' }))
  assert.strictEqual(await boss.send(short, null, { singletonKey: 'a' }), null)
  assert.ok(await boss.send(short, null, { singletonKey: 'b' }))

  // Within a day there may be a midnight, not within a century.
  const name = await queue('slots')
  const century = 36500 * 86400
  assert.ok(await boss.sendThrottled(name, null, null, century))
  assert.strictEqual(await boss.sendThrottled(name, null, null, century), null)
  assert.ok(await boss.sendThrottled(name, null, null, century, 'other'))
  assert.strictEqual(await boss.send(name, null, { singletonDays: 36500, singletonKey: 'other' }), null)
  assert.ok(await boss.sendDebounced(name, null, null, century, 'd'))
  assert.ok(await boss.sendDebounced(name, null, null, century, 'd'))
  assert.strictEqual(await boss.sendDebounced(name, null, null, century, 'd'), null)
})

test('policies, of a key and without one', async () => {
  // Which of two are sent, how many are fetched, whether another one is sent
  // while these are active, how many are fetched then.
  for (const [policy, ...expected] of [['standard', [true, true], 2, true, 1], ['short', [true, false], 1, true, 1],
    ['singleton', [true, true], 1, true, 0], ['stately', [true, false], 1, true, 0],
    ['exclusive', [true, false], 1, false, 0]]) {
    for (const key of [undefined, 'k']) {
      const name = await queue(`policy-${policy}-${key}`, { policy })
      const sent = async singletonKey => await boss.send(name, null, { singletonKey }) !== null
      const fetched = async () => (await boss.fetch(name, { batchSize: 9 })).map(job => job.id)

      const sends = [await sent(key), await sent(key)]
      const first = await fetched()
      assert.deepStrictEqual([sends, first.length, await sent(key), (await fetched()).length], expected, `${policy} ${key}`)
      await boss.complete(name, first)
      if (policy === 'exclusive') assert.strictEqual(await sent(key), true)
      if (['singleton', 'stately'].includes(policy)) assert.strictEqual((await fetched()).length, 1)
      if (key) assert.strictEqual(await sent('other'), true)
    }
  }

  const name = await queue('policy-fifo', { policy: 'key_strict_fifo' })
  const ids = await boss.insert(name, ['a', 'a', 'b'].map(singletonKey => ({ singletonKey })))
  await assert.rejects(boss.send(name), /key/)
  const fetched = async () => (await boss.fetch(name, { batchSize: 9 })).map(job => job.id)
  assert.deepStrictEqual(await fetched(), [ids[0], ids[2]])
  await boss.complete(name, ids[0])
  assert.deepStrictEqual(await fetched(), [ids[1]])
})

test('insert', async () => {
  const name = await queue('many', { policy: 'short' })
  const ids = await boss.insert(name, [{ data: { n: 1 }, singletonKey: 'a' },
    { data: { n: 2 }, singletonKey: 'b', priority: 1, retryLimit: 0 }, { singletonKey: 'a' }])

  assert.strictEqual(ids.length, 2)
  assert.deepStrictEqual((await boss.fetch(name, { batchSize: 5 })).map(job => job.data.n), [2, 1])
  assert.strictEqual((await boss.insert([{ name, singletonKey: 'c' }, { name, singletonKey: 'd' }])).length, 2)
  await assert.rejects(boss.insert([{ name }, { name: 'plain' }]), /of one queue/)
})

test('jobs that fail', async () => {
  await queue('letters')
  const name = await queue('failing', { retryLimit: 1, deadLetter: 'letters' })
  const id = await boss.send(name, { n: 1 })

  await boss.fetch(name)
  assert.strictEqual((await boss.fail(name, id, new RangeError('no'))).affected, 1)
  assert.strictEqual(await state(name, id), 'retry')
  const [again] = await boss.fetch(name, { includeMetadata: true })
  assert.deepStrictEqual([again.id, again.retryCount, again.state, again.retryLimit, again.deadLetter],
    [id, 1, 'active', 1, 'letters'])
  assert.strictEqual((await boss.fail(name, { id, retryCount: 0 })).affected, 0)
  assert.strictEqual((await boss.fail(name, { id, retryCount: 1 }, { reason: 'x' })).affected, 1)
  const failed = await boss.getJobById(name, id)
  assert.deepStrictEqual([failed.state, failed.output], ['failed', { reason: 'x' }])

  assert.deepStrictEqual(await boss.previewRedrive('letters', { sourceName: 'other' }),
    { total: 0, destinations: [], unroutable: 0 })
  assert.deepStrictEqual(await boss.previewRedrive('letters'), { total: 1, destinations: [{ name, count: 1 }], unroutable: 0 })
  const [letter] = await boss.findJobs('letters')
  assert.ok(letter.sourceCreatedOn.getTime() === failed.createdOn.getTime())
  assert.deepStrictEqual([letter.sourceName, letter.sourceId, letter.sourceRetryCount, letter.sourceOutput, letter.sourceRootId],
    [name, id, 1, { reason: 'x' }, id])
  for (const option of ['data', 'createdBefore', 'ids'])
    await assert.rejects(boss.redrive('letters', { [option]: {} }), new RegExp(`"${option}" is not there`))
  assert.strictEqual(await boss.redrive('letters', { sourceName: 'other' }), 0)
  assert.strictEqual(await boss.redrive('letters'), 1)
  const [moved] = await boss.fetch(name)
  assert.deepStrictEqual(moved.data, { n: 1 })
  await boss.complete(name, moved.id, 'text')
  assert.deepStrictEqual((await boss.getJobById(name, moved.id)).output, { value: 'text' })
  assert.strictEqual((await boss.retry(name, id)).affected, 1)
  assert.strictEqual(await state(name, id), 'retry')
})

test('who has lost the lease settles nothing', async () => {
  const name = await queue('fenced', { expireInSeconds: 0.2, retryLimit: 5 })
  const id = await boss.send(name)
  const other = new PgBoss({ store: STORE, migrate: false, supervise: false })

  await other.start()
  assert.strictEqual((await boss.fetch(name)).length, 1)
  let again = []
  const until = Date.now() + 20000
  while (again.length === 0 && Date.now() < until) again = await other.fetch(name)
  assert.strictEqual(again.length, 1)
  assert.strictEqual((await boss.complete(name, id)).affected, 0)
  await other.stop()
})

test('of an attempt that is over nothing is cancelled or deleted', async () => {
  const name = await queue('attempts', { retryLimit: 5 })
  const id = await boss.send(name)
  const [first] = await boss.fetch(name)

  await boss.fail(name, first)
  const [second] = await boss.fetch(name)
  assert.deepStrictEqual([second.id, second.retryCount, second.attempt], [id, 1, 2])
  for (const method of ['cancel', 'deleteJob', 'complete', 'fail', 'touch'])
    assert.deepStrictEqual(await boss[method](name, first), { jobs: [], requested: 1, affected: 0 })
  assert.strictEqual((await boss.touch(name, second)).affected, 1)
  assert.strictEqual((await boss.cancel(name, { id, retryCount: 1 })).affected, 1)
  assert.strictEqual((await boss.deleteJob(name, [second, { id: '999999', retryCount: 1 }])).affected, 1)
})

test('delete what has ended, and all', async () => {
  const name = await queue('emptied', { retryLimit: 0 })
  const other = await queue('emptied-too')
  const ids = await boss.insert(name, [{}, {}, {}, {}, {}])

  await boss.fetch(name, { batchSize: 3 })
  await boss.complete(name, ids[0])
  await boss.fail(name, ids[1])
  await boss.cancel(name, ids[3])
  assert.strictEqual(await boss.deleteStoredJobs(name), 3)
  assert.deepStrictEqual((await boss.findJobs(name)).map(job => [job.id, job.state]), [[ids[2], 'active'], [ids[4], 'created']])
  assert.strictEqual(await boss.deleteAllJobs(name), 2)
  assert.deepStrictEqual(await boss.findJobs(name), [])
  await boss.insert(name, [{}, {}])
  await boss.insert(other, [{}])
  assert.ok(await boss.deleteAllJobs() >= 3)
  assert.deepStrictEqual([await boss.findJobs(name), await boss.findJobs(other)], [[], []])
})

test('cancel, resume, delete, touch', async () => {
  const name = await queue('changing', { heartbeatSeconds: 600, expireInSeconds: 3600 })
  const ids = await boss.insert(name, [{}, {}, {}])

  assert.deepStrictEqual(await boss.cancel(name, [ids[1], ids[0]]), { jobs: [ids[0], ids[1]], requested: 2, affected: 2 })
  assert.strictEqual((await boss.resume(name, ids[1])).affected, 1)
  assert.strictEqual((await boss.deleteJob(name, ids[2])).affected, 1)
  assert.deepStrictEqual((await boss.fetch(name, { batchSize: 5 })).map(job => job.id), [ids[1]])
  assert.strictEqual((await boss.touch(name, ids[1])).affected, 1)
  assert.strictEqual((await boss.touch(name, ids[0])).affected, 0)
  assert.strictEqual(await state(name, ids[0]), 'cancelled')
  assert.strictEqual((await boss.complete(name, ids[1])).affected, 1)
})

test('update, upsert, find', async () => {
  const name = await queue('updated')
  const { jobs: ids, ...made } = await boss.upsert(name, { n: 1 }, { singletonKey: 'k', startAfter: 3600 })

  assert.deepStrictEqual([ids.length, made], [1, { updated: 0, inserted: 1 }])
  assert.deepStrictEqual(await boss.upsert(name, { n: 2 }, { singletonKey: 'k' }), { jobs: ids, updated: 1, inserted: 0 })
  assert.deepStrictEqual(await boss.update(name, undefined, { id: ids[0], priority: 3 }), { jobs: ids, updated: 1 })
  assert.deepStrictEqual(await boss.update(name, { n: 3 }, { singletonKey: 'k', match: 'all', startAfter: 0 }),
    { jobs: ids, updated: 1 })
  assert.deepStrictEqual(await boss.update(name, { n: 4 }, { singletonKey: 'none' }), { jobs: [], updated: 0 })
  // null empties it, nothing leaves it.
  await boss.update(name, undefined, { id: ids[0], priority: 3 })
  assert.deepStrictEqual((await boss.getJobById(name, ids[0])).data, { n: 3 })
  await boss.update(name, null, { id: ids[0] })
  assert.strictEqual((await boss.getJobById(name, ids[0])).data, null)
  await boss.update({ name, data: { n: 3 }, options: { id: ids[0] } })
  const [job] = await boss.findJobs(name, { key: 'k' })
  assert.deepStrictEqual([job.id, job.data, job.priority, job.state], [ids[0], { n: 3 }, 3, 'created'])
  assert.deepStrictEqual((await boss.findJobs(name, { id: ids[0] })).map(j => j.id), ids)
  for (const found of [{ data: { n: 3 } }, { key: 'k', data: { n: 3 }, queued: true }, { queued: true }, {}]) {
    assert.deepStrictEqual((await boss.findJobs(name, found)).map(j => j.id), ids)
  }
  assert.deepStrictEqual(await boss.findJobs(name, { data: { n: 4 } }), [])
  await boss.cancel(name, ids[0])
  assert.deepStrictEqual(await boss.findJobs(name, { key: 'k', queued: true }), [])
  const more = await boss.insert(name, [{}, {}])
  assert.deepStrictEqual((await boss.findJobs(name, { limit: 2 })).map(j => j.id), [ids[0], more[0]])
  assert.deepStrictEqual((await boss.findJobs(name, { after: more[0], limit: 2 })).map(j => j.id), [more[1]])
  await assert.rejects(boss.findJobs(name, { id: ids[0], key: 'k' }), /by id, or by key/)
})

test('flow', async () => {
  const name = await queue('flowing')
  const ids = await boss.flow([{ ref: 'last', name, data: { n: 3 }, dependsOn: ['a', 'b'] },
    { ref: 'b', name, data: { n: 2 }, dependsOn: ['a'], options: { priority: 1 } }, { ref: 'a', name, data: { n: 1 } }])

  const { state: waits, blocked, pendingDependencies } = await boss.getJobById(name, ids.last)
  assert.deepStrictEqual([waits, blocked, pendingDependencies], ['created', true, 2])
  assert.strictEqual((await boss.findJobs(name, { queued: true })).length, 3)
  for (const ref of ['a', 'b', 'last']) {
    const jobs = await boss.fetch(name, { batchSize: 5 })
    assert.deepStrictEqual(jobs.map(job => job.id), [ids[ref]])
    await boss.complete(name, ids[ref])
  }
  assert.deepStrictEqual(await boss.getDependencies(name, ids.last), [{ name, id: ids.a }, { name, id: ids.b }])
  assert.deepStrictEqual(await boss.getDependencies(name, ids.last, { after: { name, id: ids.a } }), [{ name, id: ids.b }])
  assert.deepStrictEqual(await boss.getDependents(name, ids.b), [{ name, id: ids.last }])
  await assert.rejects(boss.flow([{ ref: 'a', name, dependsOn: ['b'] }, { ref: 'b', name, dependsOn: ['a'] }]),
    /wait for one another/)
})

test('groups', async () => {
  const name = await queue('grouped', { groupConcurrency: 1 })

  const id = await boss.send(name, { n: 1 }, { group: { id: 'a' }, retryLimit: 9, retryBackoff: true, retryDelay: 2,
    expireInSeconds: 60, heartbeatSeconds: 10 })
  const { groupId, retryLimit, retryBackoff, retryDelay, expireInSeconds, heartbeatSeconds } = await boss.getJobById(name, id)
  assert.deepStrictEqual([groupId, retryLimit, retryBackoff, retryDelay, expireInSeconds, heartbeatSeconds],
    ['a', 9, true, 2, 60, 10])
  await boss.insert(name, [{ data: { n: 2 }, group: { id: 'a' } }, { data: { n: 3 }, group: { id: 'b' } }])
  const jobs = await boss.fetch(name, { batchSize: 5 })
  assert.deepStrictEqual(jobs.map(job => job.data.n), [1, 3])
  await boss.complete(name, jobs[0].id)
  assert.deepStrictEqual((await boss.fetch(name, { batchSize: 5 })).map(job => job.data.n), [2])
  await assert.rejects(boss.updateQueue(name, { groupConcurrency: 2 }), /keeps its policy and groupConcurrency/)
  await queue('grouped-by-default', { groupConcurrency: { default: 3 } })
  assert.strictEqual((await boss.getQueue('grouped-by-default')).groupConcurrency, 3)
  await assert.rejects(boss.createQueue('tiers', { groupConcurrency: { default: 1, tiers: { pro: 2 } } }), /"tiers" is not there/)
})

test('keys that a failed job blocks', async () => {
  const name = await queue('strict', { policy: 'key_strict_fifo', retryLimit: 0 })
  const id = await boss.send(name, null, { singletonKey: 'k' })

  await boss.send(name, null, { singletonKey: 'k' })
  await boss.fetch(name)
  await boss.fail(name, id)
  assert.deepStrictEqual(await boss.getBlockedKeys(name), ['k'])
  assert.deepStrictEqual(await boss.fetch(name), [])
})

test('in the transaction of the caller', async () => {
  const name = await queue('within')
  const db = { executeSql: (text, values) => client.query(text, values) }

  await client.query('BEGIN')
  await boss.send(name, { n: 1 }, { db })
  await client.query('ROLLBACK')
  assert.deepStrictEqual(await boss.fetch(name), [])
  await client.query('BEGIN')
  const id = await boss.send(name, { n: 2 }, { db: client })
  await client.query('COMMIT')
  await boss.fetch(name)
  await client.query('BEGIN')
  assert.strictEqual((await boss.complete(name, id, null, { db })).affected, 1)
  await client.query('ROLLBACK')
  assert.strictEqual(await state(name, id), 'active')
})

test('schedules', async () => {
  const name = await queue('scheduled')

  await boss.schedule(name, '0 3 * * *', { n: 1 }, { tz: 'Europe/Berlin', priority: 2, missed: 'once' })
  await boss.schedule(name, '* * * * *', null, { key: 'often' })
  const plans = (await boss.getSchedules(name)).map(({ nextRunOn, ...plan }) => {
    assert.ok(nextRunOn > new Date())
    return plan
  })
  assert.deepStrictEqual(plans, [
    { name, key: '', kind: 'cron', cron: '0 3 * * *', timezone: 'Europe/Berlin', data: { n: 1 },
      options: { priority: 2, tz: 'Europe/Berlin', missed: 'once' } },
    { name, key: 'often', kind: 'cron', cron: '* * * * *', timezone: 'UTC', data: {}, options: { tz: 'UTC', missed: 'skip' } }])
  assert.strictEqual((await boss.getSchedule(name)).key, '')
  assert.strictEqual((await boss.getSchedule(name, 'often')).key, 'often')
  assert.strictEqual(await boss.getSchedule(name, 'none'), null)
  assert.deepStrictEqual((await boss.getSchedules(name, undefined, { limit: 1, after: plans[0] })).map(({ key }) => key), ['often'])
  await client.query(`UPDATE ${STORE}_scheduler_jobs SET next_run_at = 1 WHERE name = $1`, [name])
  await boss.maintain()
  const [job] = await boss.fetch(name, { includeMetadata: true })
  assert.deepStrictEqual([job.data.n, job.data.scheduleName, job.priority], [1, name, 2])
  await boss.unschedule(name)
  assert.deepStrictEqual((await boss.getSchedules(name)).map(({ key }) => key), ['often'])
  await boss.unschedule(name, 'often')
  assert.deepStrictEqual(await boss.getSchedules(), [])
  assert.deepStrictEqual(await boss.previewSchedule('0 0 1 1 *', { from: new Date('2026-03-01T00:00:00Z'), count: 2 }),
    [new Date('2027-01-01T00:00:00Z'), new Date('2028-01-01T00:00:00Z')])
})

// What this version of the extension has.
const has = async name => (await client.query('SELECT to_regproc($1) IS NOT NULL AS there', [`nvent.${name}`])).rows[0].there

test('how much there is', async () => {
  const name = await queue('counted', { retryLimit: 0 })

  await boss.insert(name, [{}, {}, {}, { startAfter: 3600 }])
  const [a, b] = await boss.fetch(name, { batchSize: 2 })
  await boss.fail(name, a.id)
  if (!await has('queue_stats')) return assert.rejects(boss.getQueueStats(name), /has no queue_stats/)
  const [{ capturedOn, readyOldestSeconds, ...counts }] = await boss.getQueueStats(name)
  assert.ok(readyOldestSeconds >= 0)
  assert.deepStrictEqual(counts, { name, deferredCount: 1, queuedCount: 2, readyCount: 1, blockedCount: 0, activeCount: 1,
    failedCount: 1, completedCount: 0, cancelledCount: 0, totalCount: 4, completedDelta: null, failedDelta: null,
    createdDelta: null, deltaSeconds: null, deltaOn: null, waitBins: null, runBins: null })
  await assert.rejects(boss.getQueueStats(name, { from: new Date() }), /there is no history/)
  assert.strictEqual(await boss.getQueueSize(name), 2)
  assert.strictEqual(await boss.getQueueSize(name, { before: 'completed' }), 3)
  await assert.rejects(boss.getQueueSize(name, { before: 'failed' }), /before is/)
  await boss.complete(name, b.id)
})

test('topics', async () => {
  const names = [await queue('topic-a'), await queue('topic-b')]

  if (!await has('queue_bind')) return assert.rejects(boss.subscribe('user:created', names[0]), /has no queue_bind/)
  for (const name of names) await boss.subscribe('user:created', name)
  await boss.publish('user:created', { n: 1 })
  await boss.unsubscribe('user:created', names[1])
  await boss.publish('user:created', { n: 2 })
  await boss.publish('user:deleted', { n: 3 })
  assert.deepStrictEqual(await Promise.all(names.map(async name =>
    (await boss.fetch(name, { batchSize: 9 })).map(job => job.data.n))), [[1, 2], [1]])
})

test('what is not there is refused', async () => {
  const name = await queue('refusing')

  for (const option of ['id', 'retentionSeconds', 'deleteAfterSeconds'])
    await assert.rejects(boss.send(name, null, { [option]: 1 }), new RegExp(`"${option}" is not there`))
  for (const option of ['ignoreStartAfter', 'minPriority', 'transactional'])
    await assert.rejects(boss.fetch(name, { [option]: 1 }), new RegExp(`"${option}" is not there`))
  await assert.rejects(boss.send(name, null, { group: { id: 'a', tier: 'b' } }), /"tier" is not there/)
  await assert.rejects(boss.fetch(name, { priority: false }), /"priority" is not there/)
  await boss.fetch(name, { priority: true })
  await assert.rejects(boss.complete(name, '1', null, { includeQueued: true }), /"includeQueued"/)
  assert.throws(() => new PgBoss({ db: {} }), /pass { db }/)
  assert.throws(() => new PgBoss({ backend: 'cockroachdb' }), /"backend" is postgres/)
  for (const option of ['clock', 'persistQueueStats', '__test__enableSpies'])
    assert.throws(() => new PgBoss({ [option]: {} }), new RegExp(`"${option}" is not there`))
  await assert.rejects(boss.createQueue(name, { warningQueueSize: 5 }), /"warningQueueSize" is not there/)
  await boss.fetch(name, { ignoreStartAfter: false, orderByCreatedOn: false })
  await assert.rejects(new PgBoss({}).send(name), /start\(\) was not called/)
})
