// The errors that act tells from others by their classes: its own where it is
// installed, as a program that uses it needs, and the same by name elsewhere.
'use strict'

class ConcurrencyError extends Error {
  constructor(stream, lastVersion, events, expectedVersion) {
    super(`stream ${stream} is at version ${lastVersion}, not ${expectedVersion}`)
    Object.assign(this, { name: 'ERR_CONCURRENCY', stream, lastVersion, events, expectedVersion })
  }
}

class ValidationError extends Error {
  constructor(target, payload, details) {
    super(`${target} is not valid: ${JSON.stringify(details)}`)
    Object.assign(this, { name: 'ERR_VALIDATION', target, payload, details })
  }
}

class StoreError extends Error {
  constructor(operation, options) {
    super(`the store could not ${operation}`, options)
    Object.assign(this, { name: 'ERR_STORE', operation })
  }
}

class StreamClosedError extends Error {
  constructor(stream) {
    super(`stream ${stream} is closed`)
    Object.assign(this, { name: 'ERR_STREAM_CLOSED', stream })
  }
}

function load() {
  try {
    return require('@rotorsoft/act')
  } catch {
    return {}
  }
}

module.exports = { ConcurrencyError, ValidationError, StoreError, StreamClosedError, ...load() }
