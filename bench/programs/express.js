'use strict';
/*
 * The reference for Node's worker: handler.js as OpenFaaS's node images serve it, under express with its body parsers.
 *
 *     node express.js PORT
 *
 * The working directory is the function's folder; NODE_PATH leads to express.
 */

const path = require('path');
const express = require('express');
const handler = require(path.resolve('handler.js'));

const LIMIT = '100kb';
const app = express();
app.disable('x-powered-by');
app.use((request, _response, next) => {
  // Without one, no parser would take the body.
  if (request.headers['content-length'] && !request.headers['content-type']) {
    request.headers['content-type'] = 'text/plain';
  }
  next();
});
app.use(express.text({ type: 'text/*' }));
app.use(express.json({ limit: LIMIT }));
app.use(express.raw({ limit: LIMIT }));
app.use(express.urlencoded({ extended: true }));

class Event {
  constructor(request) {
    this.body = request.body;
    this.headers = request.headers;
    this.method = request.method;
    this.query = request.query;
    this.path = request.path;
  }
}

class Context {
  constructor(done) {
    this.statusCode = 200;
    this.headerValues = {};
    this.called = 0;
    this.done = done;
  }

  status(value) {
    if (!value) return this.statusCode;
    this.statusCode = value;
    return this;
  }

  headers(value) {
    if (!value) return this.headerValues;
    this.headerValues = value;
    return this;
  }

  succeed(value) {
    this.called++;
    this.done(undefined, value);
  }

  fail(error) {
    if (this.statusCode === 200) this.statusCode = 500;
    this.called++;
    this.done(error, undefined);
  }
}

async function call(request, response) {
  const context = new Context((error, value) => {
    if (error) return response.status(context.status()).send(error.toString ? error.toString() : error);
    const isStructure = Array.isArray(value) || (value && value.constructor === Object);
    response.set(context.headers()).status(context.status()).send(isStructure ? JSON.stringify(value) : value);
  });
  try {
    const value = await handler(new Event(request), context, (error, result) => (
      error ? context.fail(error) : context.succeed(result)
    ));
    if (!context.called) context.succeed(value);
  } catch (error) {
    context.fail(error);
  }
}

app.all('/*', call);
app.listen(Number(process.argv[2]), '127.0.0.1');
