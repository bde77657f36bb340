#!/usr/bin/env node
// Server-sent events of a store, and a page that shows what is going on in it.
//
//   GET /events?pattern=order:>&after=0   events as they settle, each once, in
//                                         order; goes on after Last-Event-ID
//   GET /status                           what the page shows, as JSON
//   GET /                                 the page
'use strict'

const fs = require('node:fs')
const http = require('node:http')
const path = require('node:path')
const { Pool } = require('pg')
const { Feeds, backoff, pause } = require('./feed')
const { Status } = require('./status')

const POSITION = /^\d{1,19}$/
const FILES = { '/': ['index.html', 'text/html'], '/live.js': ['live.js', 'text/javascript'],
  '/live.css': ['live.css', 'text/css'] }
const HEADERS = { 'Cache-Control': 'no-store', 'X-Content-Type-Options': 'nosniff', 'Referrer-Policy': 'no-referrer',
  'Content-Security-Policy': "default-src 'self'; img-src data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'" }

class LiveServer {
  // connection   a URL, or what node-postgres takes as configuration
  // store        name of the store
  // host, port   where to listen; 0 takes any port that is free
  // poolSize     connections at most; one more listens
  // maxClients   clients of /events at once
  // pollInterval milliseconds until feeds look without being told
  // heartbeat    milliseconds until a client that gets nothing is told its cursor
  // onError      is told of errors that no client is told of
  constructor({ connection = {}, store = 'nvent', host = '127.0.0.1', port = 0, poolSize = 4, maxClients = 1000,
    pollInterval = 1000, heartbeat = 15000, onError = () => {} } = {}) {
    const config = { keepAlive: true, ...typeof connection === 'string' ? { connectionString: connection } : connection }

    Object.assign(this, { store, host, port, maxClients, pollInterval, heartbeat, onError, clients: new Set() })
    this.pool = new Pool({ ...config, max: poolSize })
    this.pool.on('error', onError)
    this.feeds = new Feeds({ pool: this.pool, config, store, pollInterval, onError })
    // What the page shows never keeps events waiting.
    this.statusPool = new Pool({ ...config, max: 2, statement_timeout: 2000 })
    this.statusPool.on('error', onError)
    this.status = new Status(this.statusPool, store)
    this.http = http.createServer((request, response) => this.answer(request, response))
  }

  // Resolves to the address.
  async start() {
    await new Promise((resolve, reject) => this.http.once('error', reject).listen(this.port, this.host, resolve))
    const { address, family, port } = this.http.address()

    this.port = port
    return `http://${family === 'IPv6' ? `[${address}]` : address}:${port}/`
  }

  async close() {
    for (const client of this.clients) client.abort()
    this.http.close()
    this.http.closeAllConnections()
    await this.feeds.close()
    await Promise.all([this.pool.end(), this.statusPool.end()])
  }

  answer(request, response) {
    const url = urlOf(request)

    if (url === undefined) return refuse(response, 400, 'not an address')
    if (!this.isOurs(request.headers.host)) return refuse(response, 421, 'not a name of this server')
    if (request.method !== 'GET') return refuse(response, 405, 'only GET is answered')
    if (url.pathname === '/events') return void this.events(url.searchParams, request, response)
    if (url.pathname === '/status') return void this.sendStatus(response)
    if (Object.hasOwn(FILES, url.pathname)) return sendFile(response, ...FILES[url.pathname])
    refuse(response, 404, 'nothing is here')
  }

  // A page of somebody else's, whose name has been made to lead here, is to
  // read nothing: on loopback we go by no name but its own.
  isOurs(host = '') {
    if (!/^(127\.|::1$|localhost$)/.test(this.host)) return true
    return /^(127(\.\d+){3}|\[::1\]|localhost)(:\d+)?$/.test(host)
  }

  async sendStatus(response) {
    const status = { ...await this.status.get(), clients: this.clients.size }

    response.writeHead(200, { ...HEADERS, 'Content-Type': 'application/json' }).end(JSON.stringify(status))
  }

  async events(query, request, response) {
    const pattern = query.get('pattern') ?? '>'
    const after = request.headers['last-event-id'] || query.get('after')

    if (after !== null && !POSITION.test(after)) return refuse(response, 400, 'after is not a position')
    if (this.clients.size >= this.maxClients) return refuse(response, 503, 'too many clients')
    const gone = new AbortController()
    this.clients.add(gone)
    response.on('close', () => gone.abort()).on('error', () => {})
    try {
      if (!await this.insist(() => this.feeds.check(pattern), gone.signal))
        return refuse(response, 400, 'pattern is not a pattern')
      await this.send(pattern, after ?? await this.insist(() => this.feeds.now(), gone.signal), response, gone.signal)
    } catch (error) {
      // Nothing that another try would mend, or the client has gone.
      if (!gone.signal.aborted) this.onError(error)
      if (response.headersSent) response.destroy()
      else refuse(response, { NV021: 409, 22003: 400 }[error.code] ?? 500, error.message)
    } finally {
      this.clients.delete(gone)
    }
  }

  // Send what comes after a cursor, page by page, each when the client has
  // taken the one before, until it leaves.
  async send(pattern, cursor, response, signal) {
    const feed = this.feeds.join(pattern)

    try {
      let page = await this.insist(() => feed.page(cursor), signal)
      let told = Date.now()

      response.socket.setKeepAlive(true, 30000)
      response.writeHead(200, { ...HEADERS, 'Content-Type': 'text/event-stream', 'X-Accel-Buffering': 'no' })
      // Who has been told of no position yet would begin elsewhere next time.
      await write(response, `retry: 500\nid: ${cursor}\n\n`, signal)
      for (;;) {
        cursor = page.next
        if (page.count > 0) {
          await write(response, page.text, signal)
          told = Date.now()
        } else if (Date.now() - told >= this.heartbeat) {
          await write(response, `id: ${cursor}\n\n`, signal)
          told = Date.now()
        }
        if (page.count === 0) await feed.sleep(page, this.pollInterval, signal)
        page = await this.insist(() => feed.page(cursor), signal)
      }
    } finally {
      this.feeds.leave(feed)
    }
  }

  // What a call comes to, which is made again while the database is away.
  async insist(call, signal) {
    for (let failures = 0; ; failures++) {
      signal.throwIfAborted()
      try {
        const result = await call()

        signal.throwIfAborted()
        return result
      } catch (error) {
        if (signal.aborted || !isPassing(error)) throw error
        this.onError(error)
        await pause(backoff(failures), signal)
      }
    }
  }
}

// undefined for what is none, such as "//".
function urlOf(request) {
  try {
    return new URL(request.url, 'http://localhost')
  } catch {
    return undefined
  }
}

// Errors of a connection, of a server that starts, stops or is full, and of a
// transaction that may be tried again.
function isPassing(error) {
  if (error.severity === undefined) return !(error instanceof TypeError)
  return /^(08|40|53|55P03|57P)/.test(error.code)
}

// Resolves when there is room for more.
async function write(response, text, signal) {
  signal.throwIfAborted()
  if (response.write(text)) return
  await new Promise(resolve => {
    const done = () => {
      response.off('drain', done)
      signal.removeEventListener('abort', done)
      resolve()
    }

    response.on('drain', done)
    signal.addEventListener('abort', done)
  })
  signal.throwIfAborted()
}

function sendFile(response, name, type) {
  response.writeHead(200, { ...HEADERS, 'Content-Type': `${type}; charset=utf-8` })
  fs.createReadStream(path.join(__dirname, 'page', name)).pipe(response)
}

function refuse(response, status, message) {
  if (response.destroyed) return
  response.writeHead(status, { ...HEADERS, 'Content-Type': 'text/plain; charset=utf-8' }).end(`${message}\n`)
}

// PORT, HOST, STORE and PGHOST and the like say where.
async function main() {
  const { HOST, PORT, STORE } = process.env
  const server = new LiveServer({ host: HOST, port: Number(PORT ?? 8017), store: STORE,
    onError: error => console.error(error.message) })

  console.log(`Live page on ${await server.start()}`)
  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => server.close())
}

if (require.main === module) main().catch(error => {
  console.error(error.message)
  process.exitCode = 1
})

module.exports = { LiveServer }
