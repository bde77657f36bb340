// What act's port promises, method by method.  Takes a server with the
// extension, which PGHOST and the like name, and act itself not.
//
// Seen to fail: with versions as the store counts them; with seeds that go on
// with the version; with ack() passing one holder for all leases; with
// tell() reporting what this process commits, or one page of what others did;
// with revive() left out; with
// checkpoint() not looking at the position that all share.
'use strict'

const assert = require('node:assert')
const { after, before, beforeEach, test } = require('node:test')
const { Pool } = require('pg')
const { PostgresStore } = require('..')
const errors = require('../errors')

const STORE = 'acted'
const pool = new Pool({ max: 2 })
const told = []
const store = new PostgresStore({ store: STORE, errors, onError: error => told.push(error) })
const meta = { correlation: 'c', causation: {} }
const pause = milliseconds => new Promise(resolve => setTimeout(resolve, milliseconds))

before(() => store.seed())
beforeEach(() => store.restore(async () => {}))
after(async () => {
  assert.deepStrictEqual(told, [])
  await store.drop()
  await store.drop()
  await store.dispose()
  await pool.end()
})

async function events(filter) {
  const all = []
  const count = await store.query(async event => {
    await pause(0)
    all.push(event)
  }, filter)

  assert.strictEqual(count, all.length)
  return all
}

const names = async filter => (await events(filter)).map(event => event.name)

test('commit', async () => {
  const [a, b] = await store.commit('s-1', [{ name: 'A', data: { at: new Date('2026-01-02T03:04:05.678Z') } },
    { name: 'B', data: { n: 1 }, pii: { mail: 'x' } }], meta)

  assert.ok(a.id < b.id && a.created instanceof Date)
  assert.deepStrictEqual({ ...a, id: 0, created: 0 }, { id: 0, created: 0, stream: 's-1', version: 0, name: 'A',
    data: { at: new Date('2026-01-02T03:04:05.678Z') }, meta })
  assert.deepStrictEqual([b.version, b.pii], [1, { mail: 'x' }])
  assert.deepStrictEqual(await events({ stream: 's-1', stream_exact: true }), [a, b])
  assert.deepStrictEqual(await store.commit('s-1', [], meta, 99), [])

  await store.commit('s-1', [{ name: 'C', data: {} }], meta, 1)
  await store.commit('new', [{ name: 'C', data: {} }], meta, -1)
  for (const [stream, expected, actual] of [['s-1', 1, 2], ['s-1', -1, 2], ['none', 0, -1]])
    await assert.rejects(store.commit(stream, [{ name: 'D', data: {} }], meta, expected), error =>
      error instanceof errors.ConcurrencyError && error.stream === stream && error.lastVersion === actual &&
      error.expectedVersion === expected && error.events[0].name === 'D')
  await assert.rejects(store.commit('s-1', [{ name: 'D', data: { nul: '\0' } }], meta), errors.ValidationError)
  assert.strictEqual(await store.forget_pii('s-1'), 1)
  assert.strictEqual(await store.forget_pii('s-1'), 0)
  assert.strictEqual('pii' in (await events({ stream: 's-1', stream_exact: true }))[1], false)
})

test('twenty at once: each version once', async () => {
  await Promise.all(Array.from({ length: 20 }, () => store.commit('busy', [{ name: 'A', data: {} }], meta)))
  assert.deepStrictEqual((await events({ stream: 'busy', stream_exact: true })).map(event => event.version),
    Array.from({ length: 20 }, (_, i) => i))
  const results = await Promise.allSettled(Array.from({ length: 8 }, () =>
    store.commit('busy', [{ name: 'A', data: {} }], meta, 19)))
  assert.strictEqual(results.filter(result => result.status === 'fulfilled').length, 1)
})

test('query', async () => {
  const odd = ['a:b', 'a*', '%', 'x y', 'a::', '{id}']
  for (const stream of odd) await store.commit(stream, [{ name: 'Odd', data: {} }], meta)
  assert.deepStrictEqual((await events()).map(event => event.stream), odd)
  await store.commit('s', [{ name: 'A', data: {} }], { correlation: 'other', causation: {} })
  await store.commit('s', [{ name: '__snapshot__', data: { n: 1 } }], meta)
  const [{ id, created }] = await store.commit('s', [{ name: 'B', data: {} }], meta)

  assert.deepStrictEqual(await names({ stream: '^a' }), ['Odd', 'Odd', 'Odd'])
  assert.deepStrictEqual(await names({ stream: '^act:' }), [])
  assert.deepStrictEqual((await events({ stream: 'b$|y', backward: true })).map(event => event.stream), ['x y', 'a:b'])
  assert.deepStrictEqual(await names({ stream: 's', names: ['A', 'B'] }), ['A', 'B'])
  assert.deepStrictEqual(await names({ names: [] }), [])
  assert.deepStrictEqual(await names({ correlation: 'other' }), ['A'])
  assert.deepStrictEqual(await names({ correlation: 'oth' }), [])
  assert.strictEqual((await names({ correlation: '' })).length, 8)
  assert.deepStrictEqual(await names({ correlation: '', stream: 's', stream_exact: true }), ['A', 'B'])
  assert.deepStrictEqual(await names({ after: id - 2 }), ['B'])
  assert.deepStrictEqual(await names({ after: id - 2, with_snaps: true }), ['__snapshot__', 'B'])
  assert.deepStrictEqual(await names({ before: 0 }), [])
  assert.deepStrictEqual(await names({ limit: 2, backward: true }), ['B', 'A'])
  assert.deepStrictEqual(await names({ created_after: created }), [])
  assert.strictEqual((await names()).length, 9)
  assert.strictEqual((await names({})).length, 8)
  assert.deepStrictEqual(await names({ stream: 's', stream_exact: true, with_snaps: true }), ['__snapshot__', 'B'])
  assert.deepStrictEqual(await names({ stream: 's', stream_exact: true, with_snaps: true, after: -1 }),
    ['A', '__snapshot__', 'B'])
  assert.deepStrictEqual(await names({ stream: 's', stream_exact: true, backward: true, limit: 1 }), ['B'])
  await store.commit('long', Array.from({ length: 2500 }, (_, n) => ({ name: 'L', data: { n } })), meta)
  assert.deepStrictEqual((await events({ stream: '^long$' })).map(event => event.data.n), Array.from({ length: 2500 },
    (_, n) => n))
  assert.deepStrictEqual((await events({ stream: '^long$', backward: true, limit: 1500 })).map(event => event.data.n),
    Array.from({ length: 1500 }, (_, n) => 2499 - n))
})

test('what is open is not passed', async () => {
  const client = await pool.connect()

  await client.query('BEGIN')
  await client.query('SELECT nvent.stream_append($1, $2)', [`${STORE}:act:slow`, { type: 'slow' }])
  await store.commit('fast', [{ name: 'fast', data: {} }], meta)
  assert.deepStrictEqual(await names({}), [])
  await client.query('COMMIT')
  client.release()
  assert.deepStrictEqual(await names({}), ['slow', 'fast'])
})

test('query_stats', async () => {
  for (const stream of ['b', 'A', 'a']) await store.commit(stream, [{ name: 'X', data: {}, pii: 1 }, { name: 'Y', data: {} }], meta)
  const stats = await store.query_stats({}, { tail: true, count: true, names: true })

  assert.deepStrictEqual([...stats.keys()], ['A', 'a', 'b'])
  const { head, tail, ...rest } = stats.get('a')
  assert.deepStrictEqual([head.name, tail.name, head.version, 'pii' in tail, rest], ['Y', 'X', 1, false,
    { count: 2, names: { X: 1, Y: 1 } }])
  assert.deepStrictEqual([...(await store.query_stats({ stream: '^[ab]' }, { after: 'a' })).keys()], ['b'])
  assert.deepStrictEqual([...(await store.query_stats({}, { limit: 1 })).keys()], ['A'])
  assert.deepStrictEqual([...(await store.query_stats(['b', 'none'], { exclude: ['Y'] })).values()].map(s => s.head.name), ['X'])
  assert.strictEqual((await store.query_stats([])).size, 0)
})

test('truncate', async () => {
  for (const stream of ['snap', 'dead', 'window'])
    await store.commit(stream, [{ name: 'X', data: {} }, { name: '__snapshot__', data: { n: 1 } }, { name: 'Y', data: {} }], meta)
  const result = await store.truncate([{ stream: 'snap', snapshot: { n: 2 }, meta }, { stream: 'dead' },
    { stream: 'window', before: new Date(Date.now() + 1000) }, { stream: 'nothing', before: new Date(0) }])

  assert.deepStrictEqual([...result].map(([stream, { deleted, committed }]) => [stream, deleted, committed.name,
    committed.version]).sort(), [['dead', 3, '__tombstone__', 0], ['snap', 3, '__snapshot__', 0],
    ['window', 1, '__snapshot__', 1]])
  assert.strictEqual((await store.commit('snap', [{ name: 'Z', data: {} }], meta))[0].version, 1)
  assert.strictEqual((await store.commit('window', [{ name: 'Z', data: {} }], meta))[0].version, 3)
  await assert.rejects(store.commit('dead', [{ name: 'Z', data: {} }], meta), errors.StreamClosedError)
  await assert.rejects(store.commit('dead', [{ name: 'Z', data: {} }], meta, 5), errors.ConcurrencyError)
})

test('restore', async () => {
  await store.commit('s', [{ name: 'A', data: {} }], meta)
  await store.subscribe([{ stream: 't' }])
  await assert.rejects(store.restore(async insert => {
    await insert({ stream: 's', version: 0, name: 'B', data: {}, meta, created: new Date(5) })
    throw new Error('no')
  }), /no/)
  assert.deepStrictEqual(await names(), ['A'])
  assert.strictEqual((await store.query_streams(() => {})).count, 1)
  let id
  await store.restore(async insert => {
    id = await insert({ stream: 's', version: 4, name: 'B', data: { n: 1 }, pii: 2, meta, created: new Date(5) })
  })
  assert.deepStrictEqual(await events(), [{ id, stream: 's', version: 4, name: 'B', data: { n: 1 }, pii: 2, meta,
    created: new Date(5) }])
  assert.deepStrictEqual(await store.query_streams(() => {}), { maxEventId: id, count: 0 })
})

test('subscribe', async () => {
  assert.deepStrictEqual(await store.subscribe([{ stream: 'a' }, { stream: 'b', source: 's', priority: 2, lane: 'fast',
    correlated_at: 5 }, { stream: 'b', correlated_at: 7, lane: 'fast' }]), { subscribed: 2, watermark: -1,
    correlated_at: (await store.subscribe([])).correlated_at })
  // A lower priority leaves the lane.
  assert.strictEqual((await store.subscribe([{ stream: 'b', priority: 1 }])).subscribed, 0)
  const rows = []
  await store.query_streams(row => { rows.push(row) })
  assert.deepStrictEqual(rows, [
    { stream: 'a', at: -1, retry: -1, blocked: false, error: '', priority: 0, lane: 'default' },
    { stream: 'b', at: -1, retry: -1, blocked: false, error: '', priority: 2, lane: 'fast', source: 's',
      correlated_at: 7 }])

  // The highest priority has the lane, one as high takes it, also within a call.
  const lane = async () => {
    let found
    await store.query_streams(row => { found = row.lane }, { stream: 'b', stream_exact: true })
    return found
  }
  await store.subscribe([{ stream: 'b', priority: 2, lane: 'slow' }])
  assert.strictEqual(await lane(), 'slow')
  await store.subscribe([{ stream: 'b', priority: 4, lane: 'four' }, { stream: 'b', priority: 3, lane: 'three' }])
  assert.strictEqual(await lane(), 'four')
  await store.prioritize({ stream: 'b', stream_exact: true }, -1)
  await store.subscribe([{ stream: 'b' }])
  assert.strictEqual(await lane(), 'default')

  const by = (key, at, name, millis = 60000) => store.subscribe([], at, { key, by: name, millis })
  assert.deepStrictEqual(await by('one', 10, 'x'), { subscribed: 0, watermark: -1, correlated_at: 10, correlating: true })
  assert.deepStrictEqual(await by('one', 12, 'y'), { subscribed: 0, watermark: -1, correlated_at: 12, correlating: false })
  assert.strictEqual((await by('one', 1, 'x', 0)).correlated_at, 12)
  assert.strictEqual((await by('one', undefined, 'y')).correlating, true)
  assert.strictEqual((await by('two', undefined, 'x')).correlated_at, 12)
  assert.strictEqual((await by('two', 20, 'x')).correlated_at, 20)
  assert.strictEqual((await by('one', undefined, 'y')).correlated_at, 12)
  assert.strictEqual((await store.subscribe([])).correlated_at, 20)
})

test('claim, ack, block', async () => {
  await store.subscribe(['a', 'b', 'c'].map(stream => ({ stream, correlated_at: 9 })))
  const first = await store.claim(2, 0, 'x', 60000)
  const second = await store.claim(2, 2, 'y', 60000)

  assert.deepStrictEqual([first.length, second.length], [2, 1])
  assert.deepStrictEqual(await store.claim(9, 9, 'z', 60000), [])
  assert.deepStrictEqual({ ...first[0], stream: '' }, { stream: '', at: -1, by: 'x', retry: 0, lagging: true, lane: 'default' })
  const [a, b, c] = [...first, ...second]
  assert.deepStrictEqual(await store.block([{ ...c, error: 'bad' }, { ...a, by: 'nobody', error: 'x' }]), [{ ...c, error: 'bad' }])
  const acked = await store.ack([{ ...a, at: 9 }, { ...b, at: 4, due: Date.now() + 60000 }, { ...c, at: 3 },
    { ...a, by: 'nobody', at: 99 }])
  assert.deepStrictEqual(acked.map(({ stream, at, retry, by }) => [stream, at, retry, by]),
    [[a.stream, 9, -1, 'x'], [c.stream, 3, -1, 'y']])
  assert.deepStrictEqual(await store.claim(9, 9, 'z', 60000), [])
  assert.strictEqual(await store.unblock([c.stream, a.stream]), 1)
  assert.strictEqual(await store.defer([b.stream], Date.now() - 1000), 1)
  assert.deepStrictEqual((await store.claim(9, 0, 'z', 0)).map(({ stream, at, retry }) => [stream, at, retry]).sort(),
    [[b.stream, 4, 0], [c.stream, 3, 0]].sort())
  // The leases were over at once.
  assert.deepStrictEqual((await store.claim(9, 0, 'z', 60000)).map(lease => lease.retry), [1, 1])
})

test('operators', async () => {
  await store.subscribe([{ stream: 'a', source: 's1' }, { stream: 'b', source: '^s' }, { stream: 'c' }])
  assert.strictEqual(await store.prioritize({ stream: '^[ab]$' }, 5), 2)
  assert.strictEqual(await store.prioritize({ stream: 'a', stream_exact: true }, 5), 0)
  assert.strictEqual(await store.reset({}), 3)
  assert.strictEqual(await store.reset([]), 0)
  assert.strictEqual(await store.reset(['a', 'a', 'none']), 1)
  assert.strictEqual(await store.unblock({ source: 's1', source_exact: true }), 0)
  assert.strictEqual(await store.defer({ source: 's' }, Date.now()), 2)
  const list = async filter => {
    const rows = []
    await store.query_streams(row => { rows.push(row.stream) }, filter)
    return rows
  }
  assert.deepStrictEqual(await list({ source_matches: ['s12'] }), ['b', 'a', 'c'].filter(s => s !== 'none').sort())
  assert.deepStrictEqual(await list({ source_matches: ['other'] }), ['c'])
  assert.deepStrictEqual(await list({ after: 'a', limit: 1 }), ['b'])
  assert.deepStrictEqual(await list({ blocked: true }), [])
})

test('errors of the database are the store\'s', async () => {
  const nobody = new PostgresStore({ store: 'none', errors, connection: { host: '/nonexistent' } })
  const calls = { claim: [1, 1, 'x', 1], subscribe: [[]], ack: [[{ stream: 'a', at: 1, by: 'x' }]],
    block: [[{ stream: 'a', by: 'x', error: 'e' }]], commit: ['a', [{ name: 'A', data: {} }], meta], query: [() => {}],
    query_stats: [{}], query_streams: [() => {}], truncate: [[{ stream: 'a' }]], restore: [async () => {}],
    forget_pii: ['a'], defer: [['a'], 1], reset: [['a']], unblock: [['a']], prioritize: [{}, 1], seed: [], drop: [] }

  for (const [operation, args] of Object.entries(calls))
    await assert.rejects(nobody[operation](...args), error =>
      error instanceof errors.StoreError && error.operation === operation && error.cause.code === 'ENOENT')
  await nobody.dispose()
})

test('a connection that breaks in a transaction', async () => {
  const victim = new PostgresStore({ store: STORE, errors, connection: { application_name: 'victim' }, onError: () => {} })

  await store.commit('s', [{ name: 'A', data: {} }], meta)
  await assert.rejects(victim.restore(async insert => {
    await pool.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'victim'")
    await insert({ stream: 's', version: 0, name: 'B', data: {}, meta, created: new Date(5) })
  }))
  assert.strictEqual(await victim.query(() => {}, { stream: 's' }), 1)
  await victim.dispose()
})

test('what ends before its connection is there', async () => {
  const short = new PostgresStore({ store: STORE, errors, notify: true, onError: error => told.push(error) })
  const listening = short.notify(() => {})

  await short.dispose()
  await (await listening)()
})

test('configured as act-pg is', async () => {
  const tenant = new PostgresStore({ host: process.env.PGHOST, port: Number(process.env.PGPORT), user: process.env.PGUSER,
    database: process.env.PGDATABASE, max: 1, connectionTimeoutMillis: 100, schema: 'tenant1', table: 'events', errors })

  await tenant.seed()
  await tenant.commit('s', [{ name: 'A', data: {} }], meta)
  assert.deepStrictEqual(await names({ stream: 's' }), [])
  assert.strictEqual((await pool.query('SELECT count(*)::int AS n FROM nvent.stream_read($1)', ['tenant1_events:act:s'])).rows[0].n, 1)
  // Who has to wait for a connection too long is told.
  const client = await tenant.database.pool.connect()
  await assert.rejects(tenant.query(() => {}), errors.StoreError)
  client.release()
  await tenant.drop()
  await tenant.dispose()
  assert.throws(() => new PostgresStore({ pii_encryption: {} }), /"pii_encryption" is not there/)
})

test('notify', async t => {
  const listening = new PostgresStore({ store: STORE, errors, notify: true, onError: error => told.push(error) })
  t.after(() => listening.dispose())
  const got = []
  const until = async count => {
    for (let i = 0; i < 1500 && got.flatMap(n => n.events).length < count; i++) await pause(20)
  }
  const end = await listening.notify(notification => { got.push(notification) })

  assert.strictEqual('notify' in store, false)
  await listening.commit('own', [{ name: 'O', data: {} }], meta)
  const made = await store.commit('other', [{ name: 'A', data: {} }, { name: 'B', data: {} }], meta)
  await until(2)
  assert.deepStrictEqual(got, [{ stream: 'other', events: made.map(({ id, name }) => ({ id, name })) }])

  // Names of all of them, once and in order, of commits that come together and of
  // a long one, whether one notification tells of them or many.
  const many = [{ name: 'First', data: {} }, ...Array.from({ length: 2500 }, (_, n) => ({ name: `M${n}`, data: {} }))]
  const all = [...await store.commit('many', many.slice(0, 1), meta), ...await store.commit('many', many.slice(1), meta)]
  await until(2 + many.length)
  assert.deepStrictEqual(got.slice(1).flatMap(({ stream, events }) => events.map(event => ({ stream, ...event }))),
    all.map(({ id }, n) => ({ stream: 'many', id, name: many[n].name })))
  got.splice(1)

  // The connection is made again.
  await pool.query(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'SELECT nvent.safe_position%'
    OR query LIKE 'LISTEN%'`)
  let n = 2
  for (let i = 0; i < 500 && got.flatMap(note => note.events).length < 3; i++) {
    await store.commit('again', [{ name: `N${n++}`, data: {} }], meta)
    await pause(50)
  }
  assert.ok(got.some(note => note.stream === 'again'))
  await end()
  told.splice(0)
  const before = got.length
  await store.commit('late', [{ name: 'L', data: {} }], meta)
  await pause(100)
  assert.strictEqual(got.length, before)
})
