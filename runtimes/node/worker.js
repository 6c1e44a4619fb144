'use strict';
/*
 * `module.exports = async (event, context)` behind the worker protocol (docs/reference/worker-protocol.md) on
 * descriptor 0: one process, many calls at a time. The working directory is the package's `function` folder;
 * the handler may be CommonJS or a module.
 *
 * event: body, headers, method, query, path, and signal, an AbortSignal for when the caller has gone or the
 * time is over. context: status(200), headers({…}), succeed(value), fail(error); a returned value is as good
 * as succeed, and the third argument is the callback (error, value) of older handlers. A Readable, another
 * async iterable or a generator, of strings and bytes, is sent as it comes, as fast as the caller reads.
 *
 * body is a Buffer when RAW_BODY is true or the content type is application/octet-stream; an object for JSON
 * (400 when it is none); {} when there is none; else a string. For a handler that exports `stream = true` it
 * is a Readable instead, of any length, which slows the caller down to its reader.
 * What a handler prints is a log line of its call; after the call was answered, one of the process.
 *
 * Bounds: MAX_BODY_BYTES, 64 MiB unless set; MAX_JSON_SIZE and MAX_RAW_SIZE ("100kb") narrow it when set
 * (413). Calls at a time: worker_concurrency, 1000 unless set; one in all when worker_isolation is fork or
 * exec.
 * Errors: a handler that throws gets 500, and the error goes to the log; an answer that has begun is broken
 * off. An exception that nobody catches costs the call it belongs to, and process.exit the call that says it;
 * the process ends when its other calls are done. A handler that does not load ends it before it says HELLO.
 */

const { AsyncLocalStorage } = require('async_hooks');
const fs = require('fs');
const path = require('path');
const { Readable } = require('stream');
const { format } = require('util');
const { Call } = require('./call.js');
const frames = require('./frames.js');

const { KIND, END, STDERR, UNSEEN, Lines, input, inputView } = frames;
// The same, in the same order, as the check of a package's entry point.
const ENDINGS = ['', '.js', '.cjs', '.mjs', '/index.js'];
// What require says to a module that only import takes: any, or one with an await at its top.
const IS_MODULE = ['ERR_REQUIRE_ESM', 'ERR_REQUIRE_ASYNC_MODULE'];
const ONE_CALL = ['fork', 'exec'].includes(process.env.worker_isolation);
const CONCURRENCY = ONE_CALL ? 1 : Math.max(0, Math.floor(Number(process.env.worker_concurrency))) || 1000;
// What process.exit throws, so that its caller does not go on.
const EXITED = new Error('the handler has called process.exit');

const calls = new Map();
// Which call the code that runs belongs to. To follow promises costs about 1 µs for each await, and is not
// needed where calls come one after the other.
const storage = CONCURRENCY > 1 ? new AsyncLocalStorage() : undefined;
// Lines that belong to no call, by their flags.
const lines = [new Lines(0, 0), new Lines(0, STDERR)];
let handler;
let streamed = false;
let latest; // the call that was last run for
let ending; // the status to exit with when no call is left

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
  handler = typeof loaded === 'function' ? loaded : loaded.default || loaded.handler || loaded.handle;
  if (typeof handler !== 'function') {
    throw new TypeError(`${name} exports no function: expected module.exports = async (event, context) => …`);
  }
  streamed = (loaded.stream ?? handler.stream) === true;
}

/** The call that the code which runs belongs to, unless it is over. */
function current() {
  const call = storage ? storage.getStore() : latest;
  return call && !call.over ? call : undefined;
}

function invoke(call, event) {
  const { context } = call;
  const callback = (error, value) => (error ? context.fail(error) : context.succeed(value));
  let result;
  try {
    result = handler(event, context, callback);
  } catch (error) {
    return context.fail(error);
  }
  if (typeof result?.then !== 'function') return returned(call, result);
  const promise = Promise.resolve(result);
  // Answered already: nothing depends on the promise any more, and its error comes too late to be one.
  if (call.over) promise.catch(ignore);
  else promise.then((value) => returned(call, value), (error) => context.fail(error));
}

function ignore() {}

/** A handler of two parameters that called nothing has returned its answer; one of three may call back. */
function returned(call, result) {
  if (!call.context.cbCalled && (handler.length < 3 || result !== undefined)) call.context.succeed(result);
}

/** Runs what leads to code of the handler, as its call. */
function within(call, action, ...args) {
  latest = call;
  try {
    return storage ? storage.run(call, action, ...args) : action(...args);
  } catch (error) {
    onUncaught(error, call);
  }
}

function onHead(number, start, end, last) {
  const body = end - start < 4 ? Infinity : start + 4 + inputView.getUint32(start);
  if (number === 0 || calls.has(number) || body > end) frames.broken(`the head of call ${number} cannot be`);
  if (ending !== undefined) return frames.put(KIND.ABORT, UNSEEN, number, 'the process is about to end');
  const call = new Call(number, input.toString('latin1', start + 4, body), onOver);
  calls.set(number, call);
  const event = call.begin(streamed, body, end, last);
  if (event) within(call, invoke, call, event);
}

function onBody(call, start, end, last) {
  if (streamed) return within(call, () => call.more(start, end, last));
  const event = call.more(start, end, last);
  if (event) within(call, invoke, call, event);
}

function onFrame(kind, flags, number, start, end) {
  if (kind === KIND.HEAD) return onHead(number, start, end, (flags & END) !== 0);
  const call = calls.get(number);
  if (kind === KIND.BODY) {
    if (call) onBody(call, start, end, (flags & END) !== 0);
  } else if (kind === KIND.ACK && end - start === 4) {
    if (call) call.acknowledged(inputView.getUint32(start));
  } else if (kind === KIND.ABORT) {
    if (call) within(call, () => call.cancel());
  } else {
    frames.broken(`a frame of kind ${kind} and ${end - start} bytes`);
  }
}

/** No further call; those that run go on, then the process ends. */
function end(status) {
  if (ending !== undefined) return;
  ending = status;
  frames.put(KIND.EXIT, 0, 0, '');
}

function onOver(number) {
  calls.delete(number);
  if (ONE_CALL) end(0);
  // Later, so that what the handler does and prints after its answer is not cut off in the middle.
  if (ending !== undefined) setImmediate(leaveIfDone);
}

function leaveIfDone() {
  if (calls.size > 0) return;
  lines.forEach((each) => each.flush());
  frames.leave(ending);
}

function log(flags, chunk, encoding) {
  const call = current();
  if (call) call.log(flags, chunk, encoding);
  else lines[flags].write(chunk, encoding);
}

function captureOutput(stream, flags) {
  stream.write = (chunk, encoding, callback) => {
    const after = typeof encoding === 'function' ? encoding : callback;
    log(flags, chunk, typeof encoding === 'function' ? undefined : encoding);
    if (after) process.nextTick(after);
    return true;
  };
}

/** The handler's way out: costs its own call only, though the process goes when the others are done. */
function exit(code) {
  const status = Number(code ?? process.exitCode ?? 0) | 0;
  end(status);
  current()?.abort(`exited with status ${status}`);
  leaveIfDone();
  throw EXITED;
}

function onUncaught(error, call) {
  if (error === EXITED) return;
  // Nobody knows what the exception left half done.
  end(1);
  if (call && !call.over) call.fail(error);
  else log(STDERR, `${format(error)}\n`);
  leaveIfDone();
}

function onUnhandled(error) {
  const call = storage ? storage.getStore() : latest;
  if (error === EXITED) return;
  if (!call) onUncaught(error);
  else if (call.over) log(STDERR, `${format(error)}\n`);
  else call.fail(error);
}

/** From here on the process belongs to the calls, and what happens in it to the call that it happens in. */
function takeOver() {
  captureOutput(process.stdout, 0);
  captureOutput(process.stderr, STDERR);
  // Descriptor 0 is not the handler's to read.
  Object.defineProperty(process, 'stdin', { value: Readable.from([]), configurable: true, enumerable: true });
  process.exit = exit;
  process.on('uncaughtException', (error) => onUncaught(error, current()));
  process.on('unhandledRejection', onUnhandled);
  // The watchdog ends the process by closing the socket, when the calls are done.
  process.on('SIGTERM', ignore);
}

async function main() {
  await load(process.argv[2]);
  frames.connect(onFrame);
  takeOver();
  frames.put(KIND.HELLO, 0, 0, `version: 1\nspeaks: frames\nforks: no\nconcurrency: ${CONCURRENCY}`);
}

main().catch((error) => {
  console.error(error);
  frames.exit(1);
});
