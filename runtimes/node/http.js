'use strict';
/*
 * `module.exports = async (event, context)` behind HTTP/1.1 on the Unix socket FAAS_HTTP_SOCKET, or on 127.0.0.1 at
 * `http_port`. The working directory is the package's `function` folder; the handler may be CommonJS or a module.
 *
 * event: body, headers, method, query, path. context: status(200), headers({…}), succeed(value), fail(error); a returned
 * value is as good as succeed, and the third argument is the callback (error, value) of older handlers.
 *
 * body is a Buffer when RAW_BODY is true or the content type is application/octet-stream; an object for JSON (400 when
 * it is none); {} when there is none; else a string.
 * Bounds: MAX_BODY_BYTES, 64 MiB unless set; MAX_JSON_SIZE and MAX_RAW_SIZE ("100kb") narrow it when set (413).
 * Errors: a handler that throws gets 500, and the error goes to standard error. One that does not load ends the process
 * before it listens. On SIGTERM the process ends as soon as no connection is open.
 */

const fs = require('fs');
const http = require('http');
const path = require('path');

const MAX_HEAD_BYTES = 1 << 20;
// The same, in the same order, as the check of a package's entry point.
const ENDINGS = ['', '.js', '.cjs', '.mjs', '/index.js'];
// What require says to a module that only import takes: any, or one with an await at its top.
const IS_MODULE = ['ERR_REQUIRE_ESM', 'ERR_REQUIRE_ASYNC_MODULE'];
const UNITS = { b: 1, kb: 1 << 10, mb: 1 << 20, gb: 1 << 30 };

function parseSize(text, fallback) {
  const match = /^(\d+(?:\.\d+)?)\s*(b|kb|mb|gb)?$/i.exec(text || '');
  return match ? Math.floor(Number(match[1]) * UNITS[(match[2] || 'b').toLowerCase()]) : fallback;
}

const MAX_BODY = parseSize(process.env.MAX_BODY_BYTES, 64 << 20);
const MAX_JSON = Math.min(MAX_BODY, parseSize(process.env.MAX_JSON_SIZE, MAX_BODY));
const MAX_RAW = Math.min(MAX_BODY, parseSize(process.env.MAX_RAW_SIZE, MAX_BODY));
const RAW_BODY = process.env.RAW_BODY === 'true';

class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

class Context {
  #status = 200;
  #headers = {};
  #done;

  constructor(done) {
    this.#done = done;
    this.cbCalled = 0;
  }

  status(value) {
    if (!value) return this.#status;
    this.#status = value;
    return this;
  }

  headers(value) {
    if (!value) return this.#headers;
    this.#headers = value;
    return this;
  }

  succeed(value) {
    this.cbCalled++;
    this.#done(undefined, value);
  }

  fail(error) {
    if (this.#status === 200) this.#status = 500;
    this.cbCalled++;
    this.#done(error === undefined || error === null ? new Error('the handler failed') : error);
  }
}

async function load(name) {
  const files = ENDINGS.map((ending) => path.resolve(name) + ending);
  const file = files.find((candidate) => fs.statSync(candidate, { throwIfNoEntry: false })?.isFile());
  if (!file) throw new Error(`no handler found: expected one of ${files.join(', ')}`);
  let loaded;
  try {
    loaded = require(file);
  } catch (error) {
    if (!IS_MODULE.includes(error?.code)) throw error;
    loaded = await import(require('url').pathToFileURL(file));
  }
  const handler = typeof loaded === 'function' ? loaded : loaded.default || loaded.handler || loaded.handle;
  if (typeof handler !== 'function') throw new TypeError(`${name} exports no function: expected module.exports = async (event, context) => …`);
  return handler;
}

/** The request's bytes, refused past `limit` without reading on. */
function read(request, limit) {
  return new Promise((resolve, reject) => {
    if (Number(request.headers['content-length']) > limit) return reject(new Refused(413, 'body too large'));
    const parts = [];
    let size = 0;
    request.on('data', (part) => {
      size += part.length;
      if (size <= limit) return parts.push(part);
      parts.length = 0;
      request.removeAllListeners('data').pause();
      reject(new Refused(413, 'body too large'));
    });
    request.on('end', () => resolve(Buffer.concat(parts)));
    request.on('error', reject);
  });
}

async function parseBody(request) {
  const type = (request.headers['content-type'] || '').split(';')[0].trim().toLowerCase();
  const json = !RAW_BODY && (type === 'application/json' || type.endsWith('+json'));
  const bytes = await read(request, json ? MAX_JSON : MAX_RAW);
  if (RAW_BODY) return bytes;
  if (bytes.length === 0) return {};
  if (type === 'application/octet-stream') return bytes;
  const text = bytes.toString('utf8');
  if (!json) return text;
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Refused(400, `the body is not JSON: ${error.message}`);
  }
}

function parseQuery(text) {
  const query = {};
  for (const [name, value] of new URLSearchParams(text)) {
    const known = Object.hasOwn(query, name) ? [].concat(query[name], value) : value;
    Object.defineProperty(query, name, { value: known, configurable: true, enumerable: true, writable: true });
  }
  return query;
}

async function toEvent(request) {
  const mark = request.url.indexOf('?');
  return {
    body: await parseBody(request),
    headers: request.headers,
    method: request.method,
    query: parseQuery(mark < 0 ? '' : request.url.slice(mark + 1)),
    path: mark < 0 ? request.url : request.url.slice(0, mark),
  };
}

function send(request, response, status, headers, value) {
  let type = 'text/html; charset=utf-8';
  let body = value;
  if (value === undefined || value === null) {
    body = '';
  } else if (Buffer.isBuffer(value) || value instanceof Uint8Array) {
    type = 'application/octet-stream';
  } else if (typeof value !== 'string') {
    type = 'application/json; charset=utf-8';
    body = JSON.stringify(value);
  }
  const bodiless = status === 204 || status === 304;
  const all = { ...headers };
  for (const name of Object.keys(all)) {
    if (/^(connection|content-length|keep-alive|transfer-encoding)$/i.test(name)) delete all[name];
  }
  if (!bodiless && !Object.keys(all).some((name) => name.toLowerCase() === 'content-type')) all['Content-Type'] = type;
  if (!bodiless) all['Content-Length'] = Buffer.byteLength(body);
  response.writeHead(status, all);
  response.end(bodiless || request.method === 'HEAD' ? undefined : body);
}

function answer(request, response, context, error, value) {
  if (response.headersSent) return;
  try {
    if (error === undefined || error === null) return send(request, response, context.status(), context.headers(), value);
    console.error(error);
    send(request, response, context.status(), context.headers(), String(error));
  } catch (problem) {
    // A status or header that HTTP cannot carry.
    console.error(problem);
    send(request, response, 500, { 'Content-Type': 'text/plain; charset=utf-8' }, 'Internal Server Error\n');
  }
}

async function invoke(handler, request, response) {
  const event = await toEvent(request);
  const context = new Context((error, value) => answer(request, response, context, error, value));
  const callback = (error, value) => (error ? context.fail(error) : context.succeed(value));
  try {
    const result = await handler(event, context, callback);
    // A handler of two parameters that called nothing has returned its answer; one of three may still call back.
    if (!context.cbCalled && (handler.length < 3 || result !== undefined)) context.succeed(result);
  } catch (error) {
    context.fail(error);
  }
}

function refuse(request, response, error) {
  if (response.headersSent || response.destroyed) return;
  if (!(error instanceof Refused)) return response.destroy();
  response.on('finish', () => request.destroy());
  send(request, response, error.status, { 'Content-Type': 'text/plain; charset=utf-8' }, `${error.message}\n`);
}

function endWhenUnused(server) {
  let open = 0;
  let ending = false;
  const end = () => ending && open === 0 && process.exit(0);
  server.on('connection', (stream) => {
    open++;
    stream.on('close', () => {
      open--;
      end();
    });
  });
  process.on('SIGTERM', () => {
    ending = true;
    end();
  });
}

async function main() {
  const handler = await load(process.argv[2]);
  const server = http.createServer({ maxHeaderSize: MAX_HEAD_BYTES }, (request, response) => {
    invoke(handler, request, response).catch((error) => refuse(request, response, error));
  });
  // The watchdog keeps the time and closes connections.
  server.keepAliveTimeout = 0;
  server.requestTimeout = 0;
  server.headersTimeout = 0;
  endWhenUnused(server);
  const socket = process.env.FAAS_HTTP_SOCKET;
  if (socket) {
    fs.rmSync(socket, { force: true });
    server.listen(socket);
  } else {
    server.listen(Number(process.env.http_port), '127.0.0.1');
  }
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
