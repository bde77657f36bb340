// What administers a store, with the names of adapter-store-postgres.  A pool
// is one of node-postgres.
'use strict'

// Creates, adopts or migrates the store, as needed; any number of processes
// may do so at once.
async function runMigrations(pool, prefix = 'nvent', schema = null) {
  await pool.query('SELECT nvent.store_ensure($1, $2)', [prefix, schema])
}

// The layout of the store's tables, 0 when there is no store.
async function getCurrentVersion(pool, prefix = 'nvent') {
  const { rows } = await pool.query('SELECT coalesce(nvent.store_version($1), 0) AS version', [prefix])
  return rows[0].version
}

// Back to an earlier layout; 0 drops the store with all its rows.
async function rollbackTo(pool, prefix, version) {
  if (await getCurrentVersion(pool, prefix) === 0) return
  await pool.query('SELECT nvent.store_migrate($1, $2)', [prefix, version])
}

async function listStreamTables(pool, prefix = 'nvent') {
  const { rows } = await pool.query(`SELECT concat(store, ':', type) AS "subjectPrefix", relation::text AS "tableName"
    FROM nvent.stream_tables($1)`, [prefix])
  return rows
}

// Takes what listStreamTables() gives, or nq:type as the documents have it;
// false when there is no such table.
async function dropStreamTable(pool, prefix, subjectPrefix) {
  const { rows } = await pool.query('SELECT nvent.stream_drop_table($1, $2) AS dropped',
    [subjectPrefix.replace(/^(nvent|nq)(?=:)/, prefix), prefix])
  return rows[0].dropped
}

module.exports = { runMigrations, getCurrentVersion, rollbackTo, listStreamTables, dropStreamTable }
