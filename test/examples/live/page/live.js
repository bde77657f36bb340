// The page: events by EventSource, all else from /status once a second.
// Whatever comes from the database is put into text nodes.
'use strict'

const SUBJECTS = 1000
const SHOWN = 10
const $ = id => document.getElementById(id)

const streams = new Map()
const latest = []
const seconds = new Map()
let seen = 0
let source
let paused = false
let status = {}

// What columns are called, where they come from, and which are numbers.
const tables = {
  streams: [['subject', s => s.subject], ['events', s => s.events, 1], ['version', s => s.version, 1],
    ['position', s => s.id, 1], ['last', s => s.type], ['seen', s => ago(s.seen), 1]],
  latest: [['position', e => e.id, 1], ['subject', e => e.subject], ['type', e => e.type],
    ['data', e => JSON.stringify(e.data ?? e.meta ?? null)]],
  appenders: [['low-water mark', a => a.low_water_mark, 1], ['process', a => a.prepared ?? a.pid, 1],
    ['application', a => a.name ?? (a.prepared === null ? '' : 'prepared')], ['state', a => a.state ?? ''],
    ['for', a => duration(a.seconds), 1], ['tables', a => (a.tables ?? []).join(', ')]],
  entries: [['key', e => e.key], ['id', e => e.entry.id], ['counters', e => counters(e.entry.metadata)]],
  keys: [['key', k => k.key], ['value', k => k.value], ['expires', k => duration(k.ttl), 1]],
  locks: [['name', l => l.name], ['owner', l => l.owner], ['token', l => l.token, 1],
    ['ends', l => duration(l.ttl), 1]],
  consumers: [['name', c => c.name], ['lag', c => c.lag, 1],
    ['state', c => c.blocked ? `blocked: ${c.error ?? ''}` : c.leased ? `leased by ${c.owner ?? ''}` : 'free']],
  queues: [['name', q => q.name + (q.paused ? ' (paused)' : '')], ['ready', q => q.ready, 1],
    ['later', q => q.later, 1], ['active', q => q.active, 1], ['failed', q => q.failed, 1]]
}

const nothing = { streams: 'No event yet.', latest: 'No event yet.', appenders: 'Nobody: all is settled.',
  entries: 'No entries.', keys: 'No keys.', locks: 'No lock is held.', consumers: 'No consumers.',
  queues: 'No queues.' }

function element(name, text, className) {
  const made = document.createElement(name)

  if (text !== undefined) made.textContent = text
  if (className) made.className = className
  return made
}

function showTable(name, rows, error) {
  const place = document.querySelector(`[data-table=${name}]`)
  const { scrollTop, scrollLeft } = place

  if (error !== undefined) return place.replaceChildren(element('p', error, 'error'))
  if (rows.length === 0) return place.replaceChildren(element('p', nothing[name], 'empty'))
  const table = element('table')
  const head = table.createTHead().insertRow()
  const body = table.createTBody()

  for (const [title, , number] of tables[name]) {
    const cell = element('th', title, number ? 'number' : '')
    cell.scope = 'col'
    head.append(cell)
  }
  for (const row of rows) {
    const line = body.insertRow()

    if (row.moved > Date.now() - 1000) line.className = 'moved'
    for (const [, value, number] of tables[name]) {
      const text = String(value(row) ?? '')
      const cell = element('td', text, number ? 'number' : 'text')

      cell.title = text
      line.append(cell)
    }
  }
  place.replaceChildren(table)
  // Whoever scrolls by keyboard has to get there.
  place.tabIndex = 0
  place.setAttribute('role', 'region')
  place.setAttribute('aria-label', place.previousElementSibling.textContent)
  Object.assign(place, { scrollTop, scrollLeft })
}

// The numbers of a document, by their paths.
function counters(document) {
  const found = []
  const walk = (value, path) => {
    if (typeof value === 'number' && path !== 'version') found.push(`${path} ${value}`)
    else if (value !== null && typeof value === 'object' && !Array.isArray(value))
      for (const [name, inner] of Object.entries(value)) walk(inner, path ? `${path}.${name}` : name)
  }

  walk(document, '')
  return found.join('  ')
}

function duration(seconds) {
  if (seconds === null || seconds === undefined) return 'never'
  if (seconds < 120) return `${Math.round(seconds)} s`
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`
  return seconds < 172800 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86400)} d`
}

function ago(time) {
  return duration((Date.now() - time) / 1000)
}

function put(id, text, className = '') {
  $(id).textContent = text
  $(id).className = className
}

function take(event) {
  const record = JSON.parse(event.data)
  const now = Date.now()
  const second = Math.floor(now / 1000)
  const stream = streams.get(record.subject) ?? { events: 0 }

  // In the map the one that moved last is the last one.
  streams.delete(record.subject)
  streams.set(record.subject, { ...record, events: stream.events + 1, seen: now, moved: now })
  if (streams.size > SUBJECTS) streams.delete(streams.keys().next().value)
  latest.unshift(record)
  latest.length = Math.min(latest.length, SHOWN)
  seconds.set(second, (seconds.get(second) ?? 0) + 1)
  seen++
}

function follow() {
  const query = new URLSearchParams({ pattern: $('pattern').value })

  if ($('beginning').checked) query.set('after', '0')
  source?.close()
  streams.clear()
  latest.length = 0
  source = new EventSource(`events?${query}`)
  source.onopen = () => put('state', 'Connected', 'good')
  source.onmessage = take
  source.onerror = async () => {
    if (source.readyState !== EventSource.CLOSED) return put('state', 'Connecting again', 'bad')
    const gone = new AbortController()
    const answer = await fetch(`events?${query}`, { signal: gone.signal }).catch(() => undefined)

    put('state', answer?.ok === false ? await answer.text() : 'Closed', 'bad')
    gone.abort()
  }
}

function showChart() {
  const now = Math.floor(Date.now() / 1000)
  const bars = Array.from({ length: 60 }, (_, i) => seconds.get(now - 60 + i) ?? 0)
  const highest = Math.max(...bars, 1)

  for (const second of seconds.keys()) if (second < now - 60) seconds.delete(second)
  $('chart').replaceChildren(...bars.map((count, i) => {
    const bar = document.createElementNS('http://www.w3.org/2000/svg', 'rect')
    const height = count / highest * 58

    for (const [name, value] of Object.entries({ x: i * 10 + 1, width: 8, y: 60 - height, height }))
      bar.setAttribute(name, value)
    return bar
  }))
  $('chart').setAttribute('aria-label', `Events of the last minute: ${bars.reduce((a, b) => a + b)}, ` +
    `${highest} in the busiest second`)
  put('rate', (seconds.get(now - 1) ?? 0).toLocaleString('en'))
  put('seen', seen.toLocaleString('en'))
}

function showStatus() {
  const [position] = status.position?.rows ?? []
  const [worker] = status.worker?.rows ?? []

  $('store').textContent = status.store ?? ''
  if (position) {
    put('safe', position.safe)
    const [oldest] = status.appenders?.rows ?? []
    put('held', oldest ? `at ${oldest.low_water_mark}` : 'by nobody', oldest?.seconds > 5 ? 'bad' : '')
  }
  if (worker) {
    put('notifier', worker.notifier_pid ?? worker.mode, worker.notifier_pid ? 'good' : '')
    put('maintenance', worker.maintenance_pid ?? (worker.preloaded ? 'idle' : 'none'), worker.maintenance_pid ? 'good' : '')
    put('waiters', worker.waiters ?? 0)
  }
  for (const name of ['appenders', 'entries', 'keys', 'locks', 'consumers', 'queues'])
    if (status[name]) showTable(name, status[name].rows, status[name].error)
}

async function look() {
  try {
    status = await (await fetch('status')).json()
    if (!paused) showStatus()
  } catch {
    // The server is away; the line of the connection says so.
  }
  setTimeout(look, document.hidden ? 10000 : 1000)
}

function draw() {
  if (!paused && !document.hidden) {
    showChart()
    showTable('streams', [...streams.values()].slice(-SHOWN).reverse())
    showTable('latest', latest)
  }
  setTimeout(draw, 500)
}

$('follow').addEventListener('submit', event => {
  event.preventDefault()
  follow()
})
$('pause').addEventListener('click', () => {
  paused = !paused
  $('pause').setAttribute('aria-pressed', paused)
})

// ?pattern=...&after=0 in the page's own address say what to follow at first.
const asked = new URLSearchParams(location.search)
if (asked.has('pattern')) $('pattern').value = asked.get('pattern')
$('beginning').checked = asked.get('after') === '0'
follow()
look()
draw()
