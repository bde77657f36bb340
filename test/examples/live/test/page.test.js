// The page, in a headless Chromium: it shows what is in the store, runs nothing
// of it, goes on when the server was away, is usable by keyboard and can be
// read.  Skipped without Chromium or without Node's package playwright-core.
// SCREENSHOT=file keeps a picture.
//
// Seen to fail: when cells are filled by innerHTML, a subject puts an element
// into the page; when a colour of live.css is too pale, the contrast is told.
'use strict'

const assert = require('node:assert')
const { existsSync } = require('node:fs')
const { test } = require('node:test')
const { Pool } = require('pg')
const { LiveServer } = require('..')

const executablePath = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(existsSync)
let chromium
try {
  ({ chromium } = require('playwright-core'))
} catch {
  // It is not there.
}
const skip = !chromium ? 'Node has no package playwright-core' : executablePath === undefined ? 'no Chromium' : false

const EVIL = '<img src=x onerror="document.title=1"><b id=evil>'

test('what the page shows', { skip }, async t => {
  const pool = new Pool({ max: 4 })
  const used = [() => pool.end()]
  // What was begun last is ended first.
  t.after(async () => {
    for (const end of used.reverse()) await end()
  })
  await pool.query("SELECT nvent.store_create('page')")
  used.push(() => pool.query("SELECT nvent.store_migrate('page', 0)"))
  await fill(pool)

  let server = new LiveServer({ store: 'page' })
  used.push(() => server.close())
  const url = await server.start()
  const browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu'] })
  used.push(() => browser.close())
  const page = await browser.newPage({ viewport: { width: 1280, height: 900 }, colorScheme: 'light' })
  const errors = []
  page.on('pageerror', error => errors.push(error.message))
  // Nothing is from elsewhere.
  page.on('request', request => request.url().startsWith(url) || errors.push(request.url()))
  page.on('console', message => message.text().includes('Content Security Policy') && errors.push(message.text()))

  const holder = await pool.connect()
  used.push(() => holder.release(true))
  await holder.query("SET application_name = 'slow importer'")
  await holder.query('BEGIN')
  await holder.query("SELECT nvent.stream_append('page:order:held', '{\"type\": \"placed\"}')")

  await page.goto(`${url}?pattern=page:>&after=0`)
  const shows = (table, text) => page.locator(`[data-table=${table}]`).getByText(text).first().waitFor({ timeout: 20000 })

  await Promise.all([shows('streams', 'page:order:6'), shows('streams', EVIL), shows('latest', 'shipped'),
    shows('appenders', 'slow importer'), shows('entries', 'stats.total 42'), shows('keys', 'page:session:1'),
    shows('locks', 'page:nightly'), shows('consumers', 'billing'), shows('consumers', 'blocked: no money'),
    shows('queues', 'emails'), page.getByText('Connected').waitFor()])
  assert.strictEqual(await page.locator('#evil, main img').count(), 0)
  assert.strictEqual(await page.locator('#store').textContent(), 'page')
  assert.match(await page.locator('#held').textContent(), /^at \d+$/)

  await t.test('colours can be told apart, by day and by night', async () => {
    for (const colorScheme of ['light', 'dark']) {
      await page.emulateMedia({ colorScheme })
      assert.deepStrictEqual(await page.evaluate(lowContrast), [], colorScheme)
    }
    await page.emulateMedia({ colorScheme: 'light' })
  })

  await t.test('by keyboard', async () => {
    await page.locator('body').press('Tab')
    const seen = []
    for (let i = 0; i < 14; i++) {
      seen.push(await page.evaluate(() => document.activeElement.id || document.activeElement.textContent.slice(0, 4) ||
        document.activeElement.tagName))
      await page.keyboard.press('Tab')
    }
    assert.deepStrictEqual(seen.slice(0, 5), ['Skip', 'pattern', 'beginning', 'Foll', 'pause'])
    await page.locator('#pause').focus()
    await page.keyboard.press('Space')
    assert.strictEqual(await page.locator('#pause').getAttribute('aria-pressed'), 'true')
    await page.keyboard.press('Space')
    const nameless = await page.evaluate(() => [...document.querySelectorAll('input, button, [role=region], svg')]
      .filter(e => !(e.labels?.length || e.textContent.trim() || e.getAttribute('aria-label'))).map(e => e.id))
    assert.deepStrictEqual(nameless, [])
  })

  await t.test('goes on when the server was away', async () => {
    const { port } = server
    await server.close()
    await page.getByText('Connecting again').waitFor()
    await holder.query('COMMIT')
    server = new LiveServer({ store: 'page', port })
    await server.start()
    await page.getByText('Connected').waitFor()
    await shows('streams', 'page:order:held')
    const { rows: [{ n }] } = await pool.query("SELECT count(*)::int AS n FROM page_stream_order")
    await page.waitForFunction(n => document.getElementById('seen').textContent === String(n), n)
  })

  if (process.env.SCREENSHOT) await picture(pool, page)

  await t.test('another pattern, and one that is none', async () => {
    await page.locator('#pattern').fill('page:order:1')
    await page.keyboard.press('Enter')
    await page.waitForFunction(() => document.querySelectorAll('[data-table=streams] tbody tr').length === 1)
    await page.locator('#pattern').fill('{x')
    await page.keyboard.press('Enter')
    await page.getByText('pattern is not a pattern').waitFor()
  })

  assert.deepStrictEqual(errors, [])
})

async function fill(pool) {
  for (let i = 0; i < 40; i++)
    await pool.query('SELECT nvent.stream_append($1, $2)', [`page:order:${i % 11}`, { data: { total: i * 7 },
      type: ['placed', 'paid', 'shipped'][Math.floor(i / 14)] }])
  await pool.query('SELECT nvent.stream_append($1, $2)', [`page:order:${EVIL}`, { type: EVIL, data: EVIL }])
  await pool.query(`SELECT nvent.kv_set('page:session:' || i, jsonb_build_object('user', 'u' || i), ttl => i * interval '1 min')
    FROM generate_series(1, 5) i`)
  await pool.query(`SELECT nvent.entry_add('page:customers', 'ada', 1, '{"orders": 3, "stats": {"total": 42}}'),
    nvent.entry_add('page:customers', $1, 2, jsonb_build_object($1::text, 1)),
    nvent.kv_set($2, to_jsonb($1::text)), nvent.lock_acquire('page:nightly', '1 hour', 'worker-1'),
    nvent.consumer_subscribe('billing', 'page:order:>', store => 'page'),
    nvent.consumer_subscribe('mailer', 'page:order:1', store => 'page'),
    nvent.queue_create('emails', store => 'page')`, [EVIL, `page:${EVIL}`])
  await pool.query("SELECT nvent.queue_send_batch('emails', array_fill('{}'::jsonb, '{12}'), store => 'page')")
  const { rows } = await pool.query("SELECT name, token FROM nvent.consumer_claim(1, store => 'page', owner => 'worker-1')")
  await pool.query("SELECT nvent.consumer_block($1, $2, 'no money', store => 'page')", [rows[0].name, rows[0].token])
}

// Run in the page: texts whose colour is too near to what is behind them.
function lowContrast() {
  const channels = color => color.match(/[\d.]+/g).map(Number)
  const luminance = color => channels(color).slice(0, 3).map(c => c / 255)
    .map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0)
  const behind = node => {
    const { backgroundColor } = getComputedStyle(node)
    return channels(backgroundColor)[3] === 0 ? behind(node.parentElement) : backgroundColor
  }
  const found = []

  for (const node of document.querySelectorAll('body *')) {
    if (![...node.childNodes].some(child => child.nodeType === 3 && child.textContent.trim())) continue
    if (node.closest('noscript, script') || !node.getClientRects().length) continue
    const [low, high] = [getComputedStyle(node).color, behind(node)].map(luminance).sort((a, b) => a - b)
    const ratio = (high + 0.05) / (low + 0.05)
    if (ratio < 4.5) found.push(`${node.tagName} ${node.className} ${ratio.toFixed(2)}`)
  }
  return [...new Set(found)]
}

// A minute of an order system for the picture.
async function picture(pool, page) {
  const holder = await pool.connect()

  await pool.query("SELECT nvent.entry_delete('page:customers', $1), nvent.kv_delete($2)", [EVIL, `page:${EVIL}`])
  await page.evaluate(() => document.activeElement.blur())
  await page.setViewportSize({ width: 1280, height: 1000 })
  for (let i = 0; i < 300; i++) {
    if (i === 280) {
      await holder.query("SET application_name = 'nightly import'")
      await holder.query('BEGIN')
      await holder.query("SELECT nvent.stream_append('page:order:import', '{\"type\": \"placed\"}')")
    }
    for (let n = Math.round(3 + 3 * Math.sin(i / 9)); n > 0; n--)
      await pool.query('SELECT nvent.stream_append($1, $2)', [`page:${['order', 'cart', 'parcel'][(i + n) % 3]}:${1000 + i % 23}`,
        { type: ['placed', 'paid', 'shipped', 'arrived'][n % 4], data: { total: i * 7 } }])
    await pool.query("SELECT nvent.entry_increment('page:customers', 'ada', 'stats.total')")
    await new Promise(resolve => setTimeout(resolve, 100))
  }
  await page.screenshot({ path: process.env.SCREENSHOT })
  holder.release(true)
}
