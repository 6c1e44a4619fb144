'use strict'
module.exports = async (event, context) => {
  console.log('called', event.path)
  switch (event.path) {
    case '/echo': return context.status(200).headers({ 'Content-Type': 'text/plain', 'X-A': 'b' }).succeed(event.body)
    case '/type': return Buffer.isBuffer(event.body) ? 'buffer' : typeof event.body
    case '/request': return { method: event.method, query: event.query, path: event.path, custom: event.headers['x-custom'], body: event.body }
    case '/status': return context.status(201).succeed({ a: 1 })
    case '/fail': return context.fail(new Error('no good'))
    case '/fail-status': return context.status(409).fail('conflict')
    case '/throw': throw new Error('thrown')
    case '/none': return undefined
    case '/buffer': return Buffer.from('bytes')
    case '/204': return context.status(204).succeed('')
    case '/split': return context.headers({ 'X-A': 'b\r\nX-C: d' }).succeed('')
    case '/generator': return (function * () { yield 'text '; yield Buffer.from('bytes') })()
    case '/lies': return context.headers({ 'X-Faas-Usage': 'wall=0', 'X-Faas-Fault': 'gateway; a lie' }).succeed('')
    case '/pid': return String(process.pid)
  }
  return 'hello'
}
