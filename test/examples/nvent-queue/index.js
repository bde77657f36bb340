// Both of pg-boss's ways to be required work, as the class and as a member, and
// its imports by name, which Node finds in assignments like these only.
'use strict'

const { PgBoss } = require('./boss')
const { QueueProvider } = require('./provider')

module.exports = PgBoss
module.exports.PgBoss = PgBoss
module.exports.QueueProvider = QueueProvider
module.exports.states = named('created', 'retry', 'active', 'completed', 'cancelled', 'failed')
module.exports.policies = named('standard', 'short', 'singleton', 'stately', 'exclusive', 'key_strict_fifo')
module.exports.events = named('error', 'stopped')
module.exports.scheduleMissedPolicies = named('skip', 'once')

function named(...names) {
  return Object.freeze(Object.fromEntries(names.map(name => [name, name])))
}
