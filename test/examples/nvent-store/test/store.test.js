// The examples of adapter-store-postgres's README, run as they are written, and
// what the adapter promises beside them.  Takes a server with the extension,
// which PGHOST and the like name.
'use strict'

const assert = require('node:assert')
const { spawnSync } = require('node:child_process')
const { after, before, test } = require('node:test')
const { Pool } = require('pg')
const { PostgresStoreAdapter, getCurrentVersion, runMigrations, rollbackTo, listStreamTables, dropStreamTable } =
  require('..')

const store = new PostgresStoreAdapter({ prefix: 'nvent', poolSize: 4 })
const pool = new Pool({ max: 2 })

before(() => store.init())
after(async () => {
  await store.close()
  await rollbackTo(pool, 'nvent', 0)
  await pool.end()
})

test('working with event streams', async () => {
  const appended = await store.stream.append('nvent:flow:run123', {
    type: 'flow:started',
    flowName: 'my-flow',
    runId: 'run123',
    data: { input: 'test' }
  })
  let events = await store.stream.read('nvent:flow:run123', {
    limit: 50,
    order: 'desc',
    types: ['flow:started', 'flow:completed']
  })
  assert.deepStrictEqual(events, [appended])
  assert.strictEqual(typeof appended.id, 'string')
  assert.ok(Math.abs(appended.ts - Date.now()) < 60000)
  assert.deepStrictEqual({ ...appended, id: '', ts: 0 }, { id: '', ts: 0, subject: 'nvent:flow:run123', version: 1,
    type: 'flow:started', flowName: 'my-flow', runId: 'run123', data: { input: 'test' } })

  events = await store.stream.read('nvent:flow:run123', {
    from: Date.now() - 3600000,
    to: Date.now() + 3600000,
    limit: 100
  })
  assert.strictEqual(events.length, 1)
  events = await store.stream.read('nvent:flow:run123', { from: Date.now() + 3600000 })
  assert.deepStrictEqual(events, [])
  events = await store.stream.read('nvent:flow:run123', { after: appended.id, limit: 100 })
  assert.deepStrictEqual(events, [])
  assert.strictEqual((await store.stream.read('nvent:flow:run123', { types: [] })).length, 1)
  assert.deepStrictEqual(await store.stream.read('nvent:flow:run123', { before: appended.id }), [])
  assert.strictEqual(await store.stream.delete('nvent:flow:run123'), true)
  assert.strictEqual(await store.stream.delete('nvent:flow:run123'), false)
  assert.deepStrictEqual(await store.stream.read('nvent:flow:run123'), [])
})

test('a subscription that ends before its connection is there', async () => {
  const { id, subject, unsubscribe } = await store.stream.subscribe('nvent:flow:run:s', () => {})

  assert.ok(id)
  assert.strictEqual(subject, 'nvent:flow:run:s')
  await unsubscribe()
})

test('events as they were given', async () => {
  for (const subject of ['nvent:flow:run:r1', 'nvent:trigger:event:t1', 'nq:flow:f1', 'nvent:flow:run:a::b']) {
    const event = { type: 't', stepName: 's', stepId: 's1', attempt: 0, data: 0, custom: { a: [1] }, more: 'x' }
    const { id, ts, ...rest } = await store.stream.append(subject, event)

    for (const [name, value] of Object.entries(event)) assert.deepStrictEqual(rest[name], value, `${subject} ${name}`)
    assert.deepStrictEqual(await store.stream.read(subject, { after: 0 }), [{ id, ts, ...rest }])
  }
})

test('working with indexes', async () => {
  await store.index.add(
    'nvent:scheduler:trigger:flow1',
    'trigger-123',
    Date.now(),
    {
      cron: '0 * * * *',
      enabled: true,
      stats: {
        totalFires: 0,
        lastFire: null
      }
    }
  )
  const entry = await store.index.get('nvent:scheduler:trigger:flow1', 'trigger-123')
  assert.strictEqual(entry.id, 'trigger-123')
  assert.deepStrictEqual(entry.metadata, { version: 0, cron: '0 * * * *', enabled: true,
    stats: { totalFires: 0, lastFire: null } })

  const success = await store.index.update('nvent:scheduler:trigger:flow1', 'trigger-123', { enabled: false })
  assert.strictEqual(success, true)
  await store.index.updateWithRetry(
    'nvent:scheduler:trigger:flow1',
    'trigger-123',
    { 'stats.totalFires': 5 }  // Dot notation for nested updates
  )
  const newValue = await store.index.increment('nvent:scheduler:trigger:flow1', 'trigger-123', 'stats.totalFires', 1)
  assert.strictEqual(newValue, 6)
  const entries = await store.index.read('nvent:scheduler:trigger:flow1', { offset: 0, limit: 50 })
  assert.deepStrictEqual(entries.map(e => [e.id, e.metadata.enabled, e.metadata.stats.totalFires]),
    [['trigger-123', false, 6]])
  assert.deepStrictEqual(await store.index.read('nvent:scheduler:trigger:flow1', { filter: { enabled: true } }), [])

  // A version that somebody else has changed meanwhile, and entries that are not there.
  const { version } = entries[0].metadata
  assert.strictEqual(await store.index.update('nvent:scheduler:trigger:flow1', 'trigger-123', { a: 1 }, { version }), true)
  assert.strictEqual(await store.index.update('nvent:scheduler:trigger:flow1', 'trigger-123', { a: 2 }, { version }), false)
  assert.strictEqual(await store.index.update('nvent:scheduler:trigger:flow1', 'none', { a: 1 }), false)
  await assert.rejects(store.index.updateWithRetry('nvent:scheduler:trigger:flow1', 'none', { a: 1 }), /no entry "none"/)
  assert.strictEqual(await store.index.get('nvent:scheduler:trigger:flow1', 'none'), null)

  assert.strictEqual(await store.index.delete('nvent:scheduler:trigger:flow1', 'trigger-123'), true)
  assert.strictEqual(await store.index.remove('nvent:scheduler:trigger:flow1', 'trigger-123'), false)
})

test('twenty at once: no update and no increment is lost', async () => {
  await store.index.add('nvent:flows', 'busy', 1, {})
  await Promise.all(Array.from({ length: 20 }, async (_, i) => {
    await store.index.updateWithRetry('nvent:flows', 'busy', { [`by.n${i}`]: i })
    await store.index.increment('nvent:flows', 'busy', 'stats.total')
  }))
  const { metadata } = await store.index.get('nvent:flows', 'busy')
  assert.strictEqual(metadata.stats.total, 20)
  assert.strictEqual(Object.keys(metadata.by).length, 20)
})

test('working with the key-value store', async () => {
  await store.kv.set('nvent:scheduler:lock:flow1', { owner: 'worker-1' }, 60)
  assert.deepStrictEqual(await store.kv.get('nvent:scheduler:lock:flow1'), { owner: 'worker-1' })
  await store.kv.set('nvent:config:flows', { maxRetries: 3 })
  assert.strictEqual(await store.kv.increment('nvent:counter:processed', 1), 1)
  await store.kv.set('nvent:temp:data', 1)
  await store.kv.delete('nvent:temp:data')
  assert.strictEqual(await store.kv.get('nvent:temp:data'), null)
  for (const key of ['nvent:temp:1', 'nvent:temp:2', 'nvent:temp_3']) await store.kv.set(key, key)
  assert.strictEqual(await store.kv.clear('nvent:temp:*'), 2)
  assert.strictEqual(await store.kv.get('nvent:temp_3'), 'nvent:temp_3')

  // Values that are no objects, and what means something in other globs.
  for (const value of [0, false, '', null, 'text', [1, { a: 2 }]]) {
    await store.kv.set('nvent:value', value)
    assert.deepStrictEqual(await store.kv.get('nvent:value'), value)
  }
  for (const key of ['nvent:[a]:1', 'nvent:a:1', 'nvent:?:1', 'nvent:\\:1']) await store.kv.set(key, 1)
  assert.strictEqual(await store.kv.clear('nvent:[a]:*'), 1)
  assert.strictEqual(await store.kv.clear('nvent:?:*'), 1)
  assert.strictEqual(await store.kv.clear('nvent:\\:*'), 1)
  assert.strictEqual(await store.kv.get('nvent:a:1'), 1)

  // Seconds: 0 is for good, and what is over is over.
  await store.kv.set('nvent:ttl', 1, 0)
  assert.strictEqual(await store.kv.get('nvent:ttl'), 1)
  await store.kv.set('nvent:ttl', 1, -1)
  assert.strictEqual(await store.kv.get('nvent:ttl'), null)
  const { rows: [{ left }] } = await pool.query("SELECT nvent.kv_ttl('nvent:scheduler:lock:flow1') > '30 s' AS left")
  assert.strictEqual(left, true)
})

test('migrations', async () => {
  const adapter = new PostgresStoreAdapter({ prefix: 'tenant-b', connection: { max: 2 }, autoMigrate: true })

  try {
    assert.strictEqual(await getCurrentVersion(pool, 'tenant-b'), 0)
    await Promise.all([adapter.init(), adapter.init(), runMigrations(pool, 'tenant-b')])
    assert.ok(await getCurrentVersion(pool, 'tenant-b') > 0)

    // A store of its own, though subjects and keys are called as in the other one.
    await store.kv.set('nvent:mine', 'a')
    await adapter.kv.set('nvent:mine', 'b')
    await adapter.kv.set('bare', 'b')
    await adapter.stream.append('nvent:flow:1', { type: 't' })
    await adapter.index.add('nvent:flows', 'f', 1, { displayName: 'F' })
    assert.strictEqual(await store.kv.get('nvent:mine'), 'a')
    assert.strictEqual(await store.kv.get('bare'), null)
    assert.strictEqual(await adapter.kv.get('bare'), 'b')
    assert.strictEqual(await store.index.get('nvent:flows', 'f'), null)
    const { rows } = await pool.query('SELECT display_name FROM "tenant-b_flows"')
    assert.deepStrictEqual(rows, [{ display_name: 'F' }])

    assert.deepStrictEqual(await listStreamTables(pool, 'tenant-b'),
      [{ subjectPrefix: 'tenant-b:flow', tableName: '"tenant-b_stream_flow"' }])
    assert.strictEqual(await dropStreamTable(pool, 'tenant-b', 'nq:flow'), true)
    assert.strictEqual(await dropStreamTable(pool, 'tenant-b', 'tenant-b:flow'), false)
    assert.deepStrictEqual(await adapter.stream.read('nvent:flow:1'), [])
  } finally {
    await adapter.close()
    await rollbackTo(pool, 'tenant-b', 0)
  }
  assert.strictEqual(await getCurrentVersion(pool, 'tenant-b'), 0)
  await rollbackTo(pool, 'tenant-b', 0)
})

test('in a schema, imported by names', async () => {
  const adapter = new PostgresStoreAdapter({ prefix: 'apart', schema: 'aside', connection: { max: 2 } })

  await pool.query('CREATE SCHEMA aside')
  await adapter.init()
  await adapter.kv.set('a', 1)
  assert.deepStrictEqual((await pool.query('SELECT key FROM aside.apart_kv')).rows, [{ key: 'a' }])
  await adapter.close()
  await rollbackTo(pool, 'apart', 0)
  await pool.query('DROP SCHEMA aside')

  const { status, stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', `
    import { PostgresStoreAdapter, runMigrations, getCurrentVersion, rollbackTo, listStreamTables, dropStreamTable }
      from '${require.resolve('..')}'
    console.log(PostgresStoreAdapter.name, dropStreamTable.length)`], { encoding: 'utf8' })
  assert.deepStrictEqual([status, stdout], [0, 'PostgresStoreAdapter 3\n'], stderr)
})

test('without autoMigrate init() makes nothing', async () => {
  const adapter = new PostgresStoreAdapter({ prefix: 'not_made', autoMigrate: false })

  await adapter.init()
  assert.strictEqual(await getCurrentVersion(pool, 'not_made'), 0)
  await adapter.close()
})
