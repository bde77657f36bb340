// Both of pg-boss's ways to be required work: as the class and as a member.
'use strict'

const { PgBoss } = require('./boss')
const { QueueProvider } = require('./provider')

module.exports = Object.assign(PgBoss, { PgBoss, QueueProvider })
