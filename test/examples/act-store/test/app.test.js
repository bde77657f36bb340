// What the READMEs of act and act-pg show, called as they call it, with the
// framework itself over our store: states, slices, projections, reactions that
// are settled on every commit, time travel, blocked streams, a store for each
// tenant.  Skipped where Node does not find @rotorsoft/act and zod, which
// test/examples/setup.sh gets.
//
// Seen to fail: with versions as the store counts them; with claim() that leases
// nothing; with block() that does nothing.
'use strict'

const assert = require('node:assert')
const { after, before, test } = require('node:test')
const { Pool } = require('pg')
const { PostgresStore } = require('..')

const framework = load()
const skip = framework === undefined && 'Node does not find @rotorsoft/act and zod'
const pool = new Pool({ max: 1 })
const config = { host: process.env.PGHOST, port: Number(process.env.PGPORT), database: process.env.PGDATABASE,
  user: process.env.PGUSER }
const actor = { id: '1', name: 'u' }

// What the handlers saw, and who was blocked.
const model = {}
const seen = []
const blocked = []
let fails = false
let Counter
let app

function load() {
  process.env.LOG_LEVEL ??= 'fatal'
  try {
    return { ...require('@rotorsoft/act'), z: require('zod').z }
  } catch {
    return undefined
  }
}

before(async () => {
  if (skip) return
  const { act, dispose, log, NonRetryableError, projection, slice, state, store, z } = framework
  const Incremented = z.object({ amount: z.number() })

  store(new PostgresStore({ ...config, store: 'framework' }))
  await store().seed()
  Counter = state({ Counter: z.object({ count: z.number() }) })
    .init(() => ({ count: 0 }))
    .emits({ Incremented })
    .patch({ Incremented: ({ data }, { count }) => ({ count: count + data.amount }) })
    .on({ increment: z.object({ by: z.number() }) })
    .emit(action => ['Incremented', { amount: action.by }])
    .build()
  const counters = projection('counters')
    .on({ Incremented })
    .do(async function total({ stream, data }) { model[stream] = (model[stream] ?? 0) + data.amount })
    .build()
  const reactions = slice()
    .withState(Counter)
    .withProjection(counters)
    .on('Incremented')
    .do(async function remember({ stream, version }) {
      if (fails) throw new NonRetryableError('it is not to be')
      seen.push(`${stream} ${version}`)
    })
    .to('counter-target')
    .build()
  app = act().withSlice(reactions).build()
  app.on('committed', () => app.settle())
  app.on('blocked', streams => blocked.push(...streams))
  dispose(async () => log().info('disposed'))
})

after(async () => {
  await pool.end()
  if (!skip) await framework.store().dispose()
})

// Poll until a promise comes to a value, and fail when that takes long.
async function becomes(value, what) {
  for (let i = 0; i < 300; i++) {
    try {
      return assert.deepStrictEqual(await what(), value)
    } catch (error) {
      if (i === 299) throw error
      await new Promise(resolve => setTimeout(resolve, 100))
    }
  }
}

test('actions, states and time travel', { skip }, async () => {
  const increment = async by => (await app.do('increment', { stream: 'counter1', actor }, { by })).at(-1).event
  const first = await increment(5)

  assert.deepStrictEqual((await app.load(Counter, 'counter1')).state, { count: 5 })
  const second = await increment(2)

  assert.deepStrictEqual([first.version, second.version], [0, 1])
  assert.deepStrictEqual((await app.load(Counter, 'counter1')).state, { count: 7 })
  const steps = []
  const then = await app.load(Counter, 'counter1', ({ state }) => steps.push(state.count), { before: second.id })

  assert.deepStrictEqual([then.state, steps], [{ count: 5 }, [5]])
  assert.deepStrictEqual((await app.load(Counter, 'counter1', undefined, { created_before: first.created })).state,
    { count: 0 })
  await assert.rejects(app.do('increment', { stream: 'counter1', actor, expectedVersion: 0 }, { by: 1 }),
    framework.ConcurrencyError)
})

test('projections and reactions are settled on every commit', { skip }, async () => {
  await becomes({ counter1: 7 }, () => model)
  await becomes(['counter1 0', 'counter1 1'], () => seen)
})

test('a reaction that fails for good blocks its stream until it is let go', { skip }, async () => {
  fails = true
  await app.do('increment', { stream: 'counter2', actor }, { by: 1 })
  await becomes(['counter-target'], async () => (await app.blocked_streams()).map(({ stream }) => stream))
  await becomes(['counter-target'], () => blocked.map(({ stream }) => stream))
  fails = false
  await app.unblock(['counter-target'])
  app.settle()
  await becomes(['counter1 0', 'counter1 1', 'counter2 0'], () => seen)
})

test('a schema and a table name the store, one for each tenant', { skip }, async () => {
  for (const tenant of ['tenant1', 'tenant2']) {
    const store = new PostgresStore({ ...config, schema: tenant, table: 'events' })
    const events = []

    await store.seed()
    await store.commit('user-123', [{ name: 'Joined', data: { tenant } }], { correlation: 'c', causation: {} })
    assert.strictEqual(await store.query(event => events.push(event.data.tenant), { stream: 'user-123', limit: 100 }), 1)
    assert.deepStrictEqual(events, [tenant])
    await store.dispose()
  }
})
