'use strict';
/*
 * A request as the handler sees it. The contract is told in worker.js.
 *
 * Bounds: of a body that is collected, `bodyLimit`; one that is streamed waits here up to its window.
 * Errors: `parseBody` throws a SyntaxError at JSON that is none.
 */

const { Readable } = require('stream');

const FIELD = { configurable: true, enumerable: true, writable: true };
const UNITS = { b: 1, kb: 1 << 10, mb: 1 << 20, gb: 1 << 30 };
// Of these node:http keeps the first.
const ONCE = new Set(`age authorization content-length content-type etag expires from host if-modified-since
  if-unmodified-since last-modified location max-forwards proxy-authorization referer retry-after server
  user-agent`.split(/\s+/));

function parseSize(text, fallback) {
  const match = /^(\d+(?:\.\d+)?)\s*(b|kb|mb|gb)?$/i.exec(text || '');
  return match ? Math.floor(Number(match[1]) * UNITS[(match[2] || 'b').toLowerCase()]) : fallback;
}

const MAX_BODY = parseSize(process.env.MAX_BODY_BYTES, 64 << 20);
const MAX_JSON = Math.min(MAX_BODY, parseSize(process.env.MAX_JSON_SIZE, MAX_BODY));
const MAX_RAW = Math.min(MAX_BODY, parseSize(process.env.MAX_RAW_SIZE, MAX_BODY));
const RAW_BODY = process.env.RAW_BODY === 'true';

/** The lines after the first of a request's head, as node:http would give them. */
function parseHeaders(head) {
  const headers = {};
  let end = head.indexOf('\n');
  while (end >= 0) {
    const start = end + 1;
    end = head.indexOf('\n', start);
    const line = end < 0 ? head.slice(start) : head.slice(start, end);
    const colon = line.indexOf(':');
    const name = line.slice(0, colon);
    const value = line.slice(line[colon + 1] === ' ' ? colon + 2 : colon + 1);
    const known = headers[name];
    if (name === 'set-cookie') {
      if (known === undefined) headers[name] = [value];
      else known.push(value);
    } else if (typeof known !== 'string') {
      headers[name] = value;
    } else if (!ONCE.has(name)) {
      headers[name] = known + (name === 'cookie' ? '; ' : ', ') + value;
    }
  }
  return headers;
}

/** One header out of a request's head; most handlers never ask for all. */
function findHeader(head, name) {
  const start = head.indexOf(`\n${name}:`);
  if (start < 0) return '';
  const end = head.indexOf('\n', start + 1);
  return head.slice(start + name.length + 2, end < 0 ? undefined : end).trim();
}

function parseQuery(text) {
  const query = {};
  if (text === '') return query;
  for (const [name, value] of new URLSearchParams(text)) {
    const known = Object.hasOwn(query, name) ? [].concat(query[name], value) : value;
    Object.defineProperty(query, name, { ...FIELD, value: known });
  }
  return query;
}

/** The content type that the body is read by, without its parameters. */
function bodyType(head) {
  if (RAW_BODY) return 'application/octet-stream';
  return findHeader(head, 'content-type').split(';')[0].trim().toLowerCase();
}

function isJson(type) {
  return type === 'application/json' || type.endsWith('+json');
}

function bodyLimit(type) {
  return isJson(type) ? MAX_JSON : MAX_RAW;
}

/** The body that is bytes[start..end]. It keeps `bytes` only when they are the body and nothing else. */
function parseBody(type, bytes, start, end) {
  if (start === end && !RAW_BODY) return {};
  if (RAW_BODY || type === 'application/octet-stream') {
    return start === 0 && end === bytes.length ? bytes : Buffer.from(bytes.subarray(start, end));
  }
  const text = bytes.toString('utf8', start, end);
  return isJson(type) ? JSON.parse(text) : text;
}

class Event {
  #call;

  // Parsed when first asked for: it is the most expensive field, and many handlers do without.
  static #lazyHeaders = {
    configurable: true,
    enumerable: true,
    get() {
      const value = parseHeaders(this.#call.head);
      // Fails, and does no harm, when the handler has frozen the event.
      Reflect.defineProperty(this, 'headers', { ...FIELD, value });
      return value;
    },
    set(value) {
      Object.defineProperty(this, 'headers', { ...FIELD, value });
    },
  };

  constructor(call, body) {
    const { head } = call;
    const space = head.indexOf(' ');
    const newline = head.indexOf('\n');
    const target = head.slice(space + 1, newline < 0 ? undefined : newline);
    const mark = target.indexOf('?');
    this.#call = call;
    this.body = body;
    Object.defineProperty(this, 'headers', Event.#lazyHeaders);
    this.method = head.slice(0, space);
    this.query = parseQuery(mark < 0 ? '' : target.slice(mark + 1));
    this.path = mark < 0 ? target : target.slice(0, mark);
  }

  get signal() {
    return this.#call.signal();
  }
}

/** A request's body as it comes. `took` hears of each part that the reader has room for. */
class RequestBody extends Readable {
  #queue = [];
  #wanted = false;
  #took;

  constructor(took) {
    super();
    this.#took = took;
  }

  /** A part of the body, or null for its end. Throws what a listener for data throws. */
  give(part) {
    this.#queue.push(part);
    if (this.#wanted) this._read();
  }

  _read() {
    this.#wanted = this.#queue.length === 0;
    if (this.#wanted) return;
    const part = this.#queue.shift();
    if (part !== null) this.#took(part.length, this.#queue.length === 0);
    this.push(part);
  }
}

module.exports = { Event, RequestBody, bodyLimit, bodyType, findHeader, parseBody };
