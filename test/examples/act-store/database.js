// Statements and transactions.
'use strict'

const { Pool } = require('pg')

// There is none, or none is free.
class NoConnection extends Error {
  constructor(cause) {
    super(cause.message, { cause })
  }
}

class Database {
  constructor(config, onError) {
    this.config = config
    this.pool = new Pool(config)
    // A connection that breaks while nobody uses it ends no process.
    this.pool.on('error', onError)
  }

  // The rows of a statement, which each connection prepares once.
  async query(text, values) {
    const client = await this.connect()

    try {
      return (await client.query({ name: statementName(text), text, values })).rows
    } finally {
      this.release(client)
    }
  }

  async connect() {
    try {
      const client = await this.pool.connect()

      // One that breaks says so by its query, too.
      return client.on('error', ignore)
    } catch (error) {
      throw new NoConnection(error)
    }
  }

  release(client, broken) {
    client.removeListener('error', ignore)
    client.release(broken)
  }

  // What work(query) resolves to, in one transaction.
  async transaction(work) {
    const client = await this.connect()
    let broken

    try {
      await client.query('BEGIN')
      const result = await work(async (text, values) =>
        (await client.query({ name: statementName(text), text, values })).rows)
      await client.query('COMMIT')
      return result
    } catch (error) {
      await client.query('ROLLBACK').catch(failed => { broken = failed })
      throw error
    } finally {
      this.release(client, broken)
    }
  }

  async close() {
    await this.pool.end()
  }
}

function ignore() {}

// A name of 63 bytes at most for a statement, the same whenever it comes again.
const names = new Map()

function statementName(text) {
  if (!names.has(text)) names.set(text, `act_store_${names.size}`)
  return names.get(text)
}

module.exports = { Database, NoConnection }
