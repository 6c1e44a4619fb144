'use strict';
/*
 * One call of the handler: from its HEAD to an event, from `context` to the frames of its answer. The
 * contract is told in worker.js.
 *
 * Bounds: the request's body by `bodyLimit`, else 413, or when it is streamed by its window; the answer's
 * body by its window, its head by MAX_HEAD, else 500. Errors: all become answers and log lines, but for what
 * the handler's listeners throw.
 */

const { format } = require('util');
const { Event, RequestBody, bodyLimit, bodyType, findHeader, parseBody } = require('./event.js');
const frames = require('./frames.js');

const { KIND, END, USAGE, STDERR, WINDOW, Lines, input, out, view } = frames;
const EMPTY = Buffer.alloc(0);
const MAX_HEAD = 128 << 10;
// The most of a body in a frame, so that large answers leave room for others between their frames.
const MAX_PIECE = 128 << 10;
// A text up to here is encoded in the place that it is sent from.
const SHORT = 16 << 10;
// What the watchdog says itself.
const FRAMING = new Set(['connection', 'content-length', 'keep-alive', 'transfer-encoding']);
const HEADER_NAME = /^[\w!#$%&'*+\-.^`|~]+$/;
const PLAIN = { 'content-type': 'text/plain; charset=utf-8' };

class Context {
  #status = 200;
  #headers = {};
  #call;

  constructor(call) {
    this.#call = call;
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
    this.#call.answer(undefined, value);
  }

  fail(error) {
    if (this.#status === 200) this.#status = 500;
    this.cbCalled++;
    this.#call.answer(error === undefined || error === null ? new Error('the handler failed') : error);
  }
}

function isStream(value) {
  if (typeof value !== 'object') return false;
  // Only the generators among what has an iterator: an array is JSON.
  return typeof value[Symbol.asyncIterator] === 'function' || value[Symbol.toStringTag] === 'Generator';
}

/** The content type of an answer, and its body: text, bytes or a stream. */
function encode(value) {
  if (typeof value === 'string') return ['text/html; charset=utf-8', value];
  if (value === undefined || value === null) return ['text/html; charset=utf-8', ''];
  if (value instanceof Uint8Array || isStream(value)) return ['application/octet-stream', value];
  const text = JSON.stringify(value);
  if (text === undefined) throw new TypeError(`a ${typeof value} is no answer`);
  return ['application/json; charset=utf-8', text];
}

function toBytes(part) {
  if (typeof part === 'string') return Buffer.from(part);
  if (part instanceof Uint8Array) return part;
  throw new TypeError(`a stream of ${typeof part}s is no answer`);
}

/** The head of an answer; throws at a status or header that HTTP cannot carry. */
function buildHead(status, headers, type) {
  if (status < 200 || status > 999) throw new RangeError(`${status} is no status of an answer`);
  let head = `${status}`;
  let typed = type === undefined;
  for (const name of Object.keys(headers)) {
    const lower = name.toLowerCase();
    if (FRAMING.has(lower)) continue;
    if (!HEADER_NAME.test(lower)) throw new TypeError(`${JSON.stringify(name)} is no header name`);
    for (const value of Array.isArray(headers[name]) ? headers[name] : [headers[name]]) {
      const text = String(value);
      if (value === undefined || /[^\t\x20-\x7e\x80-\xff]/.test(text)) {
        throw new TypeError(`the value of header ${JSON.stringify(name)} cannot be sent`);
      }
      head += `\n${lower}: ${text}`;
    }
    typed ||= lower === 'content-type';
  }
  if (!typed) head += `\ncontent-type: ${type}`;
  if (head.length > MAX_HEAD) throw new RangeError(`a head of ${head.length} bytes is no answer's`);
  return head;
}

class Call {
  over = false;
  context = new Context(this);
  #number;
  #ended; // told when the call is over
  #since = frames.startTime();
  #controller;
  #cancelled = false;
  #running = false; // the handler has the event
  #lines;
  // The request's body: a stream, or collected in parts.
  #stream;
  #parts;
  #type = '';
  #limit = 0;
  #size = 0;
  #whole = false;
  #arrived = 0; // bytes not acknowledged, and of them those that were taken
  #taken = 0;
  // The answer: its head until that is sent, what is to be sent of its body, and whether that is all.
  #answered = false;
  #answerHead;
  #rest = EMPTY;
  #complete = false;
  #credit = WINDOW;
  #source;
  #resume;

  constructor(number, head, ended) {
    this.#number = number;
    this.head = head;
    this.#ended = ended;
  }

  /** The request's head, and what came with it of the body. Returns the event, if the handler can have it. */
  begin(streamed, start, end, last) {
    if (streamed) {
      this.#stream = new RequestBody((size, all) => this.#acknowledge(size, all));
      this.more(start, end, last);
      return this.#run(this.#stream);
    }
    // Without a body its type does not matter.
    if (!last || start < end) this.#type = bodyType(this.head);
    this.#limit = bodyLimit(this.#type);
    if (!last && Number(findHeader(this.head, 'content-length')) > this.#limit) return this.#refuseLarge();
    return this.more(start, end, last);
  }

  /** More of the request's body. Returns the event, if the handler can have it. */
  more(start, end, last) {
    if (this.#whole) frames.broken('a body goes on after its end');
    const size = end - start;
    this.#whole = last;
    this.#arrived += size;
    if (this.#arrived > WINDOW) frames.broken('a body is larger than its window');
    if (this.#stream) return this.#give(start, end);
    this.#size += size;
    if (this.#size > this.#limit) return this.#refuseLarge();
    if (last && !this.#parts) return this.#event(input, start, end);
    // A copy: what is read next overwrites what was read.
    (this.#parts ??= []).push(Buffer.from(input.subarray(start, end)));
    this.#acknowledge(size, true);
    if (!last) return undefined;
    const body = Buffer.concat(this.#parts, this.#size);
    this.#parts = undefined;
    return this.#event(body, 0, body.length);
  }

  #give(start, end) {
    if (end > start) this.#stream.give(Buffer.from(input.subarray(start, end)));
    if (this.#whole) this.#stream.give(null);
  }

  #event(bytes, start, end) {
    let body;
    try {
      body = parseBody(this.#type, bytes, start, end);
    } catch (error) {
      return this.#refuse(400, `the body is not JSON: ${error.message}`);
    }
    return this.#run(body);
  }

  #run(body) {
    this.#running = true;
    return new Event(this, body);
  }

  /** Lets the caller send as much again: at half a window, or when all is taken that came. */
  #acknowledge(size, all) {
    this.#taken += size;
    if (this.over || this.#whole) return;
    if (this.#taken === 0 || (!all && this.#taken < WINDOW / 2)) return;
    const at = frames.begin(KIND.ACK, 0, this.#number, 4);
    view.setUint32(at, this.#taken);
    frames.finish(at + 4);
    this.#arrived -= this.#taken;
    this.#taken = 0;
  }

  #refuseLarge() {
    return this.#refuse(413, 'body too large');
  }

  #refuse(status, message) {
    this.#answered = true;
    this.#send(status, PLAIN, `${message}\n`);
  }

  /** The handler's answer; the first one counts. */
  answer(error, value) {
    if (this.#answered || this.over) return;
    this.#answered = true;
    if (this.#cancelled) return this.abort('aborted');
    try {
      if (error === undefined) return this.#send(this.context.status(), this.context.headers(), value);
      this.log(STDERR, `${format(error)}\n`);
      this.#send(this.context.status(), this.context.headers(), String(error));
    } catch (problem) {
      this.log(STDERR, `${format(problem)}\n`);
      this.#send(500, PLAIN, 'Internal Server Error\n');
    }
  }

  /** What went wrong where nobody was looking; breaks off an answer that has begun. */
  fail(error) {
    if (this.over) return;
    if (!this.#answered && !this.#cancelled) return this.context.fail(error);
    this.log(STDERR, `${format(error)}\n`);
    this.abort('the handler failed');
  }

  #send(status, headers, value) {
    const [type, body] = encode(value);
    const code = status | 0;
    const typed = code !== 204 && code !== 304;
    const bodiless = !typed || this.head.startsWith('HEAD ');
    let head = buildHead(code, headers, typed ? type : undefined);
    if (isStream(body)) {
      if (!bodiless) return void this.#sendStream(head, body);
      body.destroy?.();
    } else if (bodiless && typed) {
      // Only here the watchdog cannot tell the length.
      head += `\ncontent-length: ${Buffer.byteLength(body)}`;
    }
    if (bodiless) return this.#sendShort(head, '');
    if (typeof body === 'string' && body.length <= SHORT) return this.#sendShort(head, body);
    this.#answerHead = head;
    this.#rest = typeof body === 'string' ? Buffer.from(body) : body;
    this.#complete = true;
    this.#move();
  }

  /** A whole answer in one frame. */
  #sendShort(head, body) {
    this.#flushLines();
    const start = frames.begin(KIND.HEAD, END | USAGE, this.#number, 4 + head.length + body.length * 3 + 16);
    view.setUint32(start, head.length);
    let at = start + 4;
    at += out.write(head, at, 'latin1');
    at += out.write(body, at);
    frames.finish(frames.putUsage(at, this.#since));
    this.#finish();
  }

  /** Sends as much of the answer as the window allows. */
  #move() {
    while (!this.over) {
      const head = this.#answerHead;
      const size = Math.min(this.#rest.length, this.#credit, MAX_PIECE);
      const last = this.#complete && size === this.#rest.length;
      if (size === 0 && !last && head === undefined) return;
      if (last) this.#flushLines();
      const kind = head === undefined ? KIND.BODY : KIND.HEAD;
      let at = frames.begin(kind, last ? END | USAGE : 0, this.#number, 4 + (head?.length ?? 0) + size + 16);
      if (head !== undefined) {
        view.setUint32(at, head.length);
        at += 4 + out.write(head, at + 4, 'latin1');
        this.#answerHead = undefined;
      }
      out.set(this.#rest.subarray(0, size), at);
      at += size;
      this.#rest = this.#rest.subarray(size);
      this.#credit -= size;
      frames.finish(last ? frames.putUsage(at, this.#since) : at);
      if (last) this.#finish();
    }
  }

  /** The head goes with the first part, so that a stream which fails before it is still an honest 500. */
  async #sendStream(head, source) {
    this.#answerHead = head;
    this.#source = source;
    try {
      for await (const part of source) {
        this.#rest = toBytes(part);
        this.#move();
        if (!this.over && this.#rest.length > 0) await new Promise((resolve) => (this.#resume = resolve));
        if (this.over) return;
      }
      this.#complete = true;
      this.#move();
    } catch (error) {
      if (this.#answerHead === undefined) return this.fail(error);
      this.#answered = false;
      this.#answerHead = undefined;
      this.context.fail(error);
    }
  }

  /** The caller took so many bytes more. */
  acknowledged(size) {
    this.#credit += size;
    if (this.#credit > WINDOW) frames.broken('more was acknowledged than was sent');
    this.#move();
    if (this.#rest.length > 0 || !this.#resume) return;
    const resume = this.#resume;
    this.#resume = undefined;
    resume();
  }

  /** There is no answer, or no more of it. */
  abort(reason) {
    if (this.over) return;
    this.#flushLines();
    frames.put(KIND.ABORT, 0, this.#number, reason);
    this.#finish();
  }

  /** Nobody wants the answer. The call is over when its handler is: the process is not free before. */
  cancel() {
    this.#cancelled = true;
    if (!this.#running || this.#answered) this.abort('aborted');
    else if (!this.#whole) this.#stream?.destroy();
    this.#controller?.abort();
  }

  signal() {
    if (!this.#controller) {
      this.#controller = new AbortController();
      if (this.#cancelled) this.#controller.abort();
    }
    return this.#controller.signal;
  }

  /** Log lines of this call. */
  log(flags, chunk, encoding) {
    this.#lines ??= [];
    (this.#lines[flags] ??= new Lines(this.#number, flags)).write(chunk, encoding);
  }

  #flushLines() {
    this.#lines?.forEach((lines) => lines.flush());
  }

  #finish() {
    this.over = true;
    this.#rest = EMPTY;
    this.#resume?.();
    // What was not read will not come any more, and who was not heard need not go on.
    if (!this.#whole) this.#stream?.destroy();
    if (!this.#complete) this.#source?.destroy?.();
    this.#ended(this.#number);
  }
}

module.exports = { Call };
