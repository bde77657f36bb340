// Server-sent events: a hundred clients, ten thousand events of transactions
// that overlap, while the server, the database and connections go away and come
// back: each client has each event once, and in order.
//
// Seen to fail: when a page is what is committed, settled or not, clients miss
// events; when send() goes on from the cursor that it began with, nothing comes
// after the first page; when Last-Event-ID is not looked at, what came while a
// client was away is missing; when write() does not wait for room, the slow
// client has the server keep all that it has not taken; when pages that were
// empty are kept, or notifications wake nobody, "told at once" is not; when an
// address that is none is not caught, the server ends.
'use strict'

const assert = require('node:assert')
const { execFileSync } = require('node:child_process')
const http = require('node:http')
const { after, before, test } = require('node:test')
const { Pool } = require('pg')
const { LiveServer } = require('..')
const { follow } = require('../follow')

const pool = new Pool({ max: 8 })
const pause = milliseconds => new Promise(resolve => setTimeout(resolve, milliseconds))

pool.on('error', () => {})
// One that is killed just when we get it is an error of nobody.
pool.on('connect', client => client.on('error', () => {}))

async function until(condition, milliseconds = 20000) {
  for (const end = Date.now() + milliseconds; !await condition() && Date.now() < end;) await pause(20)
  return condition()
}

// What a query returns, asked again while the database is away.
async function insist(...args) {
  for (;;) {
    try {
      return await pool.query(...args)
    } catch (error) {
      if (error.severity !== undefined && !/^(57P|08)/.test(error.code)) throw error
      await pause(20)
    }
  }
}

async function append(subject, fields = {}) {
  const { rows } = await insist('SELECT nvent.stream_append($1, $2) AS event', [subject, { type: 't', ...fields }])
  return rows[0].event
}

// Transactions that stay open for a while, some of which come to nothing.  An
// event's id makes a transaction whose answer was lost repeatable.
async function appendMany(who, count, size) {
  for (let i = 0; i < count; i++) {
    for (let done = false; !done;) {
      const client = await pool.connect().catch(() => undefined)
      if (client === undefined) {
        await pause(20)
        continue
      }
      try {
        await client.query('BEGIN')
        for (const kind of i % 5 === 0 ? ['even', 'odd'] : [i % 2 ? 'odd' : 'even'])
          await client.query('SELECT nvent.stream_append_batch($1, $2::jsonb[])', [`live:${kind}:${who}`,
            Array.from({ length: size }, (_, n) => JSON.stringify({ type: 't', eventId: `${kind} ${who} ${i} ${n}` }))])
        await pause(Math.random() * 5)
        if (i % 9 === 4 && Math.random() < 0.5) throw new Error('comes to nothing')
        await client.query('COMMIT')
        done = true
      } catch (error) {
        await client.query('ROLLBACK').catch(() => {})
      }
      client.release(true)
    }
  }
}

before(() => pool.query("SELECT nvent.store_create('live')"))
after(async () => {
  await insist("SELECT nvent.store_migrate('live', 0)")
  await pool.end()
})

test('a server that is closed before its connection is there', async () => {
  const server = new LiveServer()

  await server.start()
  await server.close()
})

test('each event once and in order, whatever restarts', async t => {
  const clients = []
  const agent = new http.Agent({ maxSockets: Infinity })
  let server = new LiveServer({ store: 'live' })
  const url = await server.start()
  const { port } = server
  t.after(() => server.close())
  const patterns = ['live:>', 'live:even:>', 'live:odd:*', 'live:{kind}:3', 'live:odd:0']

  for (let i = 0; i < 100; i++) {
    const client = { pattern: patterns[i % patterns.length], got: [] }

    client.follow = follow(`${url}events?pattern=${encodeURIComponent(client.pattern)}&after=0`, ({ id, data }) => {
      client.got.push([id, JSON.parse(data).id])
      // Some read slowly, and some go away and come back.
      if (i % 25 === 7) return pause(1)
      if (i % 10 === 3 && client.got.length % 700 === 0) client.follow.reconnect()
    }, { agent })
    clients.push(client)
  }

  const appending = Promise.all([0, 1, 2, 3, 4].map(who => appendMany(who, 100, 17)))
  const restarts = []
  const done = appending.then(() => true)
  while (!await Promise.race([done, pause(400)])) {
    if (restarts.length > 6) continue
    if (restarts.length % 2 === 0) {
      await server.close()
      server = new LiveServer({ store: 'live', port })
      await server.start()
      restarts.push('server')
    } else if (process.env.PGDATA && restarts.length % 4 === 1) {
      execFileSync('pg_ctl', ['restart', '-w', '-s', '-m', 'immediate', '-l', `${process.env.PGDATA}/../live.log`],
        { stdio: 'ignore' })
      restarts.push('database')
    } else {
      await insist(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()`)
      restarts.push('connections')
    }
  }
  await appending

  const { rows } = await insist(`SELECT id, subject FROM live_stream_even UNION ALL
    SELECT id, subject FROM live_stream_odd ORDER BY id`)
  assert.strictEqual(rows.length, 10200)
  for (const client of clients) {
    const { rows: [{ ids }] } = await insist(`SELECT array_agg(id::text ORDER BY id) AS ids FROM
      unnest($1::text[], $2::bigint[]) u(subject, id) WHERE nvent.subject_matches(subject, $3)`,
    [rows.map(row => row.subject), rows.map(row => row.id), client.pattern])

    await until(() => client.got.length >= ids.length)
    client.follow.close()
    assert.deepStrictEqual(client.got.map(([id]) => id), ids, client.pattern)
    assert.deepStrictEqual(client.got.map(([, id]) => id), ids)
  }
  agent.destroy()
  assert.ok(restarts.includes('server'), restarts.join(' '))
  if (process.env.PGDATA) assert.ok(restarts.includes('database'), restarts.join(' '))
})

test('from now on, and after the position that was told last', async t => {
  const server = new LiveServer({ store: 'live', pollInterval: 60000, heartbeat: 0 })
  t.after(() => server.close())
  const url = await server.start()
  const got = []

  await append('live:even:before')
  const first = follow(`${url}events?pattern=live:even:>`, ({ data }) => { got.push(JSON.parse(data).subject) })
  await until(() => first.lastEventId() !== '' && isListening())
  await append('live:even:a')
  await append('live:odd:b')
  await append('live:even:c\n"<>')
  assert.ok(await until(() => got.length === 2), 'told at once')
  assert.deepStrictEqual(got, ['live:even:a', 'live:even:c\n"<>'])

  // While it is away nothing is lost, though it was only told where it is.
  first.close()
  await append('live:even:d')
  const second = follow(`${url}events?pattern=live:even:>`, ({ data }) => { got.push(JSON.parse(data).subject) },
    { lastEventId: first.lastEventId() })
  assert.ok(await until(() => got.length === 3))
  assert.strictEqual(got[2], 'live:even:d')
  second.close()

  async function isListening() {
    const { rows } = await pool.query(`SELECT FROM pg_stat_activity WHERE query LIKE 'LISTEN%' AND state = 'idle'`)
    return rows.length > 0
  }
})

test('who does not read has the server keep little, and holds up nobody', async t => {
  const server = new LiveServer({ store: 'live' })
  t.after(() => server.close())
  const url = await server.start()
  const data = 'x'.repeat(20000)
  let written = 0
  let got = 0

  server.http.on('request', (request, response) => {
    const { write } = response
    if (!request.url.includes('slow')) return
    response.write = chunk => {
      written += chunk.length
      return write.call(response, chunk)
    }
  })
  await insist(`SELECT nvent.stream_append_batch('live:big:1', array_agg(jsonb_build_object('type', 't', 'data', $1::text)))
    FROM generate_series(1, 2000)`, [data])
  const slow = http.get(`${url}events?pattern=live:big:>&after=0&slow`)
  const stuck = await new Promise(resolve => slow.on('response', resolve))
  stuck.pause()
  const quick = follow(`${url}events?pattern=live:big:>&after=0`, () => { got++ })
  assert.ok(await until(() => got === 2000))
  assert.ok(written < 20000000, `${written} bytes were written for who reads nothing`)
  assert.strictEqual(server.clients.size, 2)
  slow.on('error', () => {}).destroy()
  quick.close()
  assert.ok(await until(() => server.clients.size === 0), 'who has gone is forgotten')
  assert.strictEqual(server.feeds.all.size, 0)
})

test('what is refused', async t => {
  const server = new LiveServer({ store: 'live', maxClients: 1 })
  t.after(() => server.close())
  const url = await server.start()
  const status = async (path, headers, method = 'GET') => new Promise((resolve, reject) => {
    http.request(`${url}${path}`, { headers, method }, response => {
      resolve(response.statusCode)
      response.destroy()
    }).on('error', reject).end()
  })

  assert.strictEqual(await status('events?pattern=%7Bx'), 400)
  assert.strictEqual(await status('events?after=x'), 400)
  assert.strictEqual(await status('events?after=9999999999999999999'), 400)
  assert.strictEqual(await status('events?after=999999999999999999'), 409)
  assert.strictEqual(await status('events', { 'Last-Event-ID': 'x' }), 400)
  assert.strictEqual(await status('', { Host: 'attacker.example' }), 421)
  assert.strictEqual(await status('status', { Host: 'attacker.example:80' }), 421)
  assert.strictEqual(await status('', {}, 'POST'), 405)
  assert.strictEqual(await status('../package.json'), 404)
  assert.strictEqual(await status('constructor'), 404)
  assert.strictEqual(await status('/'), 400)
  assert.strictEqual(await status(''), 200)

  const one = follow(`${url}events`, () => {})
  assert.ok(await until(() => one.lastEventId() !== ''))
  assert.strictEqual(await status('events'), 503)
  one.close()
})

test('status: all parts, and those that fail by themselves', async t => {
  const server = new LiveServer({ store: 'live' })
  t.after(() => server.close())
  const other = new LiveServer({ store: 'nowhere' })
  t.after(() => other.close())

  await server.start()
  await pool.query(`SELECT nvent.kv_set('live:k', '"v"', ttl => '1 hour'), nvent.lock_acquire('live:l', '1 hour', 'me'),
    nvent.entry_add('live:things', 'e', 1, '{"count": 5, "a": {"b": 2}}'),
    nvent.consumer_subscribe('c', 'live:>', store => 'live'), nvent.queue_create('q', store => 'live')`)
  await pool.query("SELECT nvent.consumer_claim(store => 'live')")
  await pool.query(`SELECT nvent.queue_send('q', store => 'live'), nvent.queue_send('q', store => 'live'),
    nvent.queue_send('q', store => 'live', start_after => '1 hour')`)
  await pool.query("SELECT nvent.queue_fetch('q', 1, store => 'live')")
  const client = await pool.connect()
  await client.query('BEGIN')
  const { rows: [{ event }] } = await client.query("SELECT nvent.stream_append('live:even:x', '{\"type\": \"t\"}') AS event")
  const status = await server.status.get()
  await client.query('ROLLBACK')
  client.release()

  for (const [name, part] of Object.entries(status)) assert.strictEqual(part.error, undefined, `${name}: ${part.error}`)
  assert.strictEqual(status.appenders.rows[0].low_water_mark <= event.id, true)
  assert.strictEqual(status.appenders.rows[0].state, 'idle in transaction')
  assert.strictEqual(BigInt(status.position.rows[0].safe) < BigInt(event.id), true)
  assert.deepStrictEqual(status.entries.rows.map(e => [e.key, e.entry.id, e.entry.metadata.count]), [['live:things', 'e', 5]])
  assert.deepStrictEqual(status.keys.rows.map(k => [k.key, k.value, k.ttl > 3000]), [['live:k', '"v"', true]])
  assert.deepStrictEqual(status.locks.rows.map(l => [l.name, l.owner]), [['live:l', 'me']])
  assert.deepStrictEqual(status.consumers.rows.map(c => [c.name, c.blocked, c.leased]), [['c', false, true]])
  assert.deepStrictEqual(status.queues.rows.map(q => [q.name, q.ready, q.later, q.active, q.failed]), [['q', 1, 1, 1, 0]])
  assert.ok(status.queues.rows[0].oldest >= 0)
  assert.strictEqual(typeof status.worker.rows[0].preloaded, 'boolean')

  assert.match((await other.status.get()).keys.error, /no store "nowhere"/)
  assert.strictEqual(typeof (await other.status.get()).worker.rows, 'undefined')
})
