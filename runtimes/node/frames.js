'use strict';
/*
 * The wire of the worker protocol (docs/reference/worker-protocol.md): frames on descriptor 0, read in place
 * and written many at a time; and the cut of log lines. It knows nothing of calls.
 *
 * Reading: the listener gets every whole frame as offsets into `input`, which are good until it returns.
 * Writing: `begin` finds room in `out`, the caller fills in the payload, `finish` ends the frame. What a turn
 * of the event loop has collected goes out in one write.
 * Bounds: `input` holds one frame of the largest size. What the watchdog does not take waits in memory; the
 * windows of the calls bound that for bodies, nothing bounds it for log lines written in one turn.
 * Errors: a broken frame ends the process with 1, and the reason is on the real standard error; a watchdog
 * that is gone ends it with 0.
 */

const fs = require('fs');
const net = require('net');
const { StringDecoder } = require('string_decoder');

const KIND = { HELLO: 1, HEAD: 2, BODY: 3, ABORT: 4, ACK: 5, LOG: 6, EXIT: 8 };
const END = 1;
const USAGE = 2;
const STDERR = 1;
const UNSEEN = 1;
const HEADER = 10;
const MAX_PAYLOAD = 2 << 20;
const WINDOW = 256 << 10;
// No frame that we write is larger than half of it.
const OUT_SIZE = 512 << 10;
// An answer waits for the other frames of its turn, but not behind handlers that compute for longer.
const MAX_WAIT_MICROSECONDS = 1000;
const MAX_LINE = 64 << 10;
const NEWLINE = 10;

const input = Buffer.allocUnsafeSlow(HEADER + MAX_PAYLOAD);
const inputView = new DataView(input.buffer);
const out = Buffer.allocUnsafeSlow(OUT_SIZE);
const view = new DataView(out.buffer);
const exit = process.exit.bind(process);

let socket;
let listener;
let held = 0; // bytes of `input` that are the beginning of a frame
let filled = 0; // bytes of `out` to be written
let waiting = 0; // writes that the socket has not taken yet
let reading = false; // a batch of frames is being handled: whoever handles it flushes
let scheduled = false;
let leaving; // the status to exit with when everything is written
let wroteAt = 0; // processor time at the last write

function broken(reason) {
  fs.writeSync(2, `the watchdog broke the worker protocol: ${reason}\n`);
  exit(1);
}

function gone() {
  exit(leaving ?? 0);
}

/** Writes what was collected. What the kernel has no room for is left to the socket. */
function flush() {
  scheduled = false;
  if (waiting === 0) write();
}

function write() {
  wroteAt = lastUsage.cpu;
  let written = 0;
  if (waiting === 0 && filled > 0) {
    try {
      written = fs.writeSync(0, out, 0, filled);
    } catch (error) {
      if (error.code !== 'EAGAIN') return gone();
    }
  }
  if (written < filled) {
    waiting++;
    socket.write(Buffer.from(out.subarray(written, filled)), taken);
  }
  filled = 0;
  if (leaving !== undefined && waiting === 0) exit(leaving);
}

function taken() {
  waiting--;
  flush();
}

/** Where the payload of a frame of at most `size` bytes begins in `out`. */
function begin(kind, flags, call, size) {
  if (filled + HEADER + size > OUT_SIZE) write();
  out[filled] = kind;
  out[filled + 1] = flags;
  view.setUint32(filled + 2, call);
  return filled + HEADER;
}

/** The frame ends before offset `end` of `out`. */
function finish(end) {
  view.setUint32(filled + 6, end - filled - HEADER);
  filled = end;
  if (lastUsage.cpu - wroteAt > MAX_WAIT_MICROSECONDS) return flush();
  if (reading || scheduled) return;
  scheduled = true;
  setImmediate(flush);
}

/** A frame of a short text. */
function put(kind, flags, call, text) {
  const at = begin(kind, flags, call, text.length * 3);
  finish(at + out.write(text, at));
}

/** Ends the process once everything is written: at once, if the kernel takes it all. */
function leave(status) {
  leaving = status;
  flush();
}

function received(count) {
  const end = held + count;
  let at = 0;
  reading = true;
  while (end - at >= HEADER) {
    const length = inputView.getUint32(at + 6);
    if (length > MAX_PAYLOAD) broken(`a frame of ${length} bytes`);
    const next = at + HEADER + length;
    if (next > end) break;
    listener(input[at], input[at + 1], inputView.getUint32(at + 2), at + HEADER, next);
    at = next;
  }
  reading = false;
  if (at > 0 && at < end) input.copyWithin(0, at, end);
  held = end - at;
  if (filled > 0) flush();
  return true;
}

/** Begins to read; `listen(kind, flags, call, start, end)` gets every frame. */
function connect(listen) {
  listener = listen;
  const onread = { buffer: () => (held === 0 ? input : input.subarray(held)), callback: received };
  socket = new net.Socket({ fd: 0, readable: true, writable: true, onread });
  socket.on('end', gone).on('error', gone).on('close', gone);
}

let lastUsage = { cpu: 0, memory: 0, at: 0 };

/** Processor time in microseconds and peak memory in bytes of the process. Costs about 1 µs. */
function usage() {
  const { userCPUTime, systemCPUTime, maxRSS } = process.resourceUsage();
  lastUsage = { cpu: userCPUTime + systemCPUTime, memory: maxRSS * 1024, at: performance.now() };
  return lastUsage;
}

/** The processor time when a call begins. That at the end of the one just before will do, and is cheaper. */
function startTime() {
  return performance.now() - lastUsage.at < 1 ? lastUsage.cpu : usage().cpu;
}

function putUsage(at, since) {
  const { cpu, memory } = usage();
  const took = cpu - since;
  view.setUint32(at, took / 0x100000000);
  view.setUint32(at + 4, took);
  view.setUint32(at + 8, memory / 0x100000000);
  view.setUint32(at + 12, memory);
  return at + 16;
}

/** How many of `bytes` make a log frame: whole lines if there are any, else whole characters. */
function lineCut(bytes) {
  if (bytes.length <= MAX_LINE) return bytes.length;
  const newline = bytes.lastIndexOf(NEWLINE, MAX_LINE);
  if (newline >= 0) return newline;
  let cut = MAX_LINE;
  while ((bytes[cut] & 0xc0) === 0x80) cut--;
  return cut;
}

/** What is written to one stream on behalf of one call, cut into lines. */
class Lines {
  #call;
  #flags;
  #rest = '';
  #decoder;

  constructor(call, flags) {
    this.#call = call;
    this.#flags = flags;
  }

  write(chunk, encoding) {
    let text = chunk;
    if (typeof chunk !== 'string') {
      this.#decoder ??= new StringDecoder('utf8');
      text = this.#decoder.write(chunk);
    } else if (encoding && !/^utf-?8$/i.test(encoding)) {
      text = Buffer.from(chunk, encoding).toString();
    }
    const newline = text.lastIndexOf('\n');
    if (newline >= 0) this.#send(this.#rest + text.slice(0, newline));
    this.#rest = newline >= 0 ? text.slice(newline + 1) : this.#rest + text;
    if (this.#rest.length >= MAX_LINE) this.flush();
  }

  /** Sends the line that has not ended yet. */
  flush() {
    const rest = this.#rest;
    this.#rest = '';
    if (rest !== '') this.#send(rest);
  }

  #send(text) {
    if (text.length * 3 <= MAX_LINE) return put(KIND.LOG, this.#flags, this.#call, text);
    let bytes = Buffer.from(text);
    for (;;) {
      const cut = lineCut(bytes);
      const at = begin(KIND.LOG, this.#flags, this.#call, cut);
      finish(at + bytes.copy(out, at, 0, cut));
      if (cut === bytes.length) return;
      bytes = bytes.subarray(bytes[cut] === NEWLINE ? cut + 1 : cut);
    }
  }
}

module.exports = {
  KIND, END, USAGE, STDERR, UNSEEN, WINDOW, input, inputView, out, view, Lines,
  begin, broken, connect, exit, finish, leave, put, putUsage, startTime,
};
