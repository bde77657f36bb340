// Calls of the extension's functions.
'use strict'

const { Pool } = require('pg')

class Database {
  // store   name of the store that has the queues
  // onError is told of errors that no call returns
  constructor({ connection = {}, store, onError = () => {} }) {
    this.store = store
    this.onError = onError
    this.config = typeof connection === 'string' ? { connectionString: connection } : { ...connection }
  }

  open() {
    if (this.pool) return
    this.pool = new Pool(this.config)
    // A connection that breaks while nobody uses it ends no process.
    this.pool.on('error', this.onError)
  }

  async close() {
    const pool = this.pool

    this.pool = undefined
    await pool?.end()
  }

  // The rows of a statement: of a caller's transaction, which has executeSql()
  // or is a client of node-postgres, or prepared once on each connection.
  async query(text, values, within) {
    if (within?.executeSql) return (await within.executeSql(text, values)).rows
    if (within?.query) return (await within.query(text, values)).rows
    if (!this.pool) throw new Error('start() was not called, or stop() was')
    return (await this.pool.query({ name: statementName(text), text, values })).rows
  }

  // The rows of a function, in whose named arguments undefined ones are left out.
  async rows(name, args, named = {}, within) {
    const { text, values } = call(name, args, { ...named, store: this.store })

    try {
      return await this.query(`SELECT * FROM ${text}`, values, within)
    } catch (error) {
      if (error.code !== '42883' || !error.message.includes(`nvent.${name}(`)) throw error
      throw new Error(`this version of the extension nvent_store has no ${name}()`, { cause: error })
    }
  }

  // The value of a function.
  async value(name, args, named, within) {
    return (await this.rows(name, args, named, within))[0][name]
  }

  // The tables of the store's queues and jobs, quoted.
  async tables() {
    const rows = await this.query(`SELECT format('%I.%I', nspname, $1 || '_queues') AS queues,
      format('%I.%I', nspname, $1 || '_jobs') AS jobs
      FROM nvent.store JOIN pg_class c ON c.oid = version_table JOIN pg_namespace n ON n.oid = relnamespace
      WHERE prefix = $1`, [this.store])

    if (rows.length === 0) throw new Error(`there is no store "${this.store}"`)
    return rows[0]
  }
}

function call(name, args, named) {
  const given = Object.entries(named).filter(([, value]) => value !== undefined)
  const list = [...args.map((_, i) => `$${i + 1}`),
    ...given.map(([key], i) => `${key} => $${args.length + i + 1}`)]

  return { text: `nvent.${name}(${list.join(', ')})`, values: [...args, ...given.map(([, value]) => value)] }
}

// A name of 63 bytes at most for a statement, the same whenever it comes again.
const names = new Map()

function statementName(text) {
  if (!names.has(text)) names.set(text, `nvent_queue_${names.size}`)
  return names.get(text)
}

module.exports = { Database, call }
