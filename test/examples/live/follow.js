// follow(): server-sent events for Node, as EventSource has them in browsers.
'use strict'

const http = require('node:http')

// Call onEvent({ id, data }) for each event of a URL, and go on after the last
// one when the connection breaks.  onEvent may return a promise, which is
// awaited before more is read.  Returns { close(), reconnect(), lastEventId() };
// onError is told of what broke, and of an answer that is no stream, which ends
// it.
function follow(url, onEvent, { lastEventId = '', onError = () => {}, agent } = {}) {
  let closed = false
  let request
  let retry = 500

  const connect = () => new Promise((resolve, reject) => {
    request = http.get(url, { agent, headers: { Accept: 'text/event-stream',
      ...(lastEventId && { 'Last-Event-ID': lastEventId }) } }, resolve)
    request.on('error', reject)
  })

  async function run() {
    while (!closed) {
      try {
        const response = await connect()

        response.setEncoding('utf8')
        if (response.statusCode !== 200) {
          closed = true
          throw new Error(`${response.statusCode}: ${(await response.toArray()).join('').trim()}`)
        }
        await read(response)
      } catch (error) {
        if (!closed || request.res?.statusCode !== 200) onError(error)
      }
      if (!closed) await new Promise(resolve => setTimeout(resolve, retry))
    }
  }

  // An event that is not complete when the stream ends never was.
  async function read(response) {
    let rest = ''

    for await (const chunk of response) {
      const blocks = (rest + chunk).split('\n\n')

      rest = blocks.pop()
      for (const block of blocks) {
        if (closed) return
        await dispatch(block)
      }
    }
  }

  async function dispatch(block) {
    const fields = Object.fromEntries(block.split('\n').map(line => {
      const [, name, value] = /^([^:]*):? ?(.*)$/.exec(line)
      return [name, value]
    }))

    if ('retry' in fields) retry = Number(fields.retry)
    if ('id' in fields) lastEventId = fields.id
    if ('data' in fields) await onEvent({ id: lastEventId, data: fields.data })
  }

  run()
  return {
    lastEventId: () => lastEventId,
    reconnect() {
      request?.destroy()
    },
    close() {
      closed = true
      request?.destroy()
    }
  }
}

module.exports = { follow }
