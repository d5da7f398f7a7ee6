// Golden-vector recorder for the BullMQ Redis wire format.
//
// Drives the real npm client step by step against an EMPTY, DISPOSABLE Redis and
// writes one JSON file per scenario: the operation, its result, and every key
// that exists afterwards (type + value), with a frozen clock so that timestamps
// and zset scores are exact.
//
//   cd <directory where `npm install bullmq ioredis` was run>
//   REDIS_PORT=7001 OUT=<folder> node <path>/capture.mjs [scenario ...]
//
// WARNING: it issues FLUSHALL on that port before each scenario.
import { createRequire } from 'node:module';
import fs from 'node:fs';
import path from 'node:path';

const require = createRequire(path.join(process.cwd(), 'index.js'));
const PORT = Number(process.env.REDIS_PORT || 7001);
const OUT = process.env.OUT || path.join(process.cwd(), 'golden');

// ---- frozen clock -----------------------------------------------------------
const T0 = 1800000000000; // arbitrary, 13 digits
let now = T0;
const RealDate = Date;
class FrozenDate extends RealDate {
  constructor(...a) { if (a.length) super(...a); else super(now); }
  static now() { return now; }
}
globalThis.Date = FrozenDate;
const tick = ms => { now += ms; };

const bullmq = require('bullmq');
const ioredisModule = require('ioredis');
const IORedis = ioredisModule.default ?? ioredisModule;
const bullVersion = require('bullmq/package.json').version;
const MAJOR = Number(bullVersion.split('.')[0]);
const { Queue, Worker, FlowProducer, Job } = bullmq;
const connection = { host: '127.0.0.1', port: PORT };
const raw = new IORedis({ ...connection, maxRetriesPerRequest: null });
const pause = ms => new Promise(r => setTimeout(r, ms));

// ---- state dump -------------------------------------------------------------
async function dump(streamSeen) {
  const keys = {};
  const newEvents = {};
  for (const key of (await raw.keys('*')).sort()) {
    const type = await raw.type(key);
    const e = { type };
    if (type === 'string') e.value = await raw.get(key);
    else if (type === 'hash') {
      const h = await raw.hgetall(key);
      e.value = Object.fromEntries(Object.keys(h).sort().map(k => [k, h[k]]));
    } else if (type === 'list') e.value = await raw.lrange(key, 0, -1);
    else if (type === 'set') e.value = (await raw.smembers(key)).sort();
    else if (type === 'zset') {
      const z = await raw.zrange(key, 0, -1, 'WITHSCORES');
      e.value = [];
      for (let i = 0; i < z.length; i += 2) e.value.push([z[i], z[i + 1]]);
    } else if (type === 'stream') {
      const entries = await raw.xrange(key, '-', '+');
      e.length = entries.length;
      const last = streamSeen[key];
      const fresh = last ? entries.slice(entries.findIndex(x => x[0] === last) + 1) : entries;
      if (fresh.length) newEvents[key] = fresh.map(x => x[1]);
      if (entries.length) streamSeen[key] = entries[entries.length - 1][0];
    }
    const pttl = await raw.pttl(key);
    if (pttl >= 0) e.pttlCeilSeconds = Math.ceil(pttl / 1000);
    keys[key] = e;
  }
  return { keys, newEvents };
}

const clean = v => {
  if (v instanceof Error) return { error: v.message, code: v.code, name: v.name };
  if (v instanceof Job) return jobView(v);
  return v;
};
const jobView = j => {
  if (!j) return null;
  const o = { id: j.id, name: j.name, data: j.data, attemptsMade: j.attemptsMade, attemptsStarted: j.attemptsStarted,
    processedOn: j.processedOn, delay: j.delay, priority: j.priority, parentKey: j.parentKey, repeatJobKey: j.repeatJobKey,
    deferredFailure: j.deferredFailure, stalledCounter: j.stalledCounter, processedBy: j.processedBy };
  return Object.fromEntries(Object.entries(o).filter(([, x]) => x !== undefined));
};

// ---- harness ----------------------------------------------------------------
class Ctx {
  constructor(name, description) { this.name = name; this.doc = { scenario: name, description, bullmq: bullVersion, clockStart: T0,
    compareAsJson: ['opts', 'parent', 'data', 'returnvalue', 'progress', 'stacktrace'], steps: [] };
    this.closers = []; this.seen = {}; }
  queue(name, opts = {}) { const q = new Queue(name, { connection, ...opts }); q.on('error', () => {}); this.closers.push(() => q.close()); return q; }
  worker(name, opts = {}, fn = null) { const w = new Worker(name, fn, { connection, autorun: false, ...opts }); w.on('error', () => {}); this.closers.push(() => w.close(true)); return w; }
  flow(opts = {}) { const f = new FlowProducer({ connection, ...opts }); f.on('error', () => {}); this.closers.push(() => f.close()); return f; }
  async step(title, op, fn) {
    let result;
    await raw.config('RESETSTAT');
    try { result = clean(await fn()); } catch (e) { result = clean(e); }
    await pause(5);
    const { keys, newEvents } = await dump(this.seen);
    this.doc.steps.push({ title, op, at: now, result: result === undefined ? null : JSON.parse(JSON.stringify(result)), newEvents, keys });
    return result;
  }
  async run(fn) {
    now = T0;
    await raw.flushall();
    await fn(this);
    for (const c of this.closers) { try { await c(); } catch { /* ignore */ } }
    fs.mkdirSync(OUT, { recursive: true });
    const text = normalise(JSON.stringify(this.doc, null, 1));
    fs.writeFileSync(path.join(OUT, `${this.name}.json`), text + '\n');
    console.log('wrote', this.name, this.doc.steps.length, 'steps');
  }
}
// Strip machine-dependent text: stack traces.
function normalise(text) {
  return text.replace(/("stacktrace": )"((?:[^"\\]|\\.)*)"/g, (_m, k, v) => {
    const arr = JSON.parse(JSON.parse(`"${v}"`));
    return k + JSON.stringify(JSON.stringify(arr.map(s => s.split('\n')[0] + '\n<stack>')));
  });
}
const be = q => q.backend ?? q.scripts;
const stalledCheck = w => be(w).moveStalledJobsToWait();
const next = (w, token) => w.getNextJob(token, { block: false }).then(jobView);
async function take(w, token) { return w.getNextJob(token, { block: false }); }

const scenarios = {};
const scenario = (name, description, fn) => { scenarios[name] = () => new Ctx(name, description).run(fn); };

// ---- scenarios --------------------------------------------------------------
scenario('01-add-standard', 'FIFO, LIFO, custom id, duplicate id, unusual data', async c => {
  const q = c.queue('q1'); await q.waitUntilReady(); await pause(50);
  await c.step('queue object created', { op: 'new Queue' }, async () => null);
  await c.step('first job', { op: 'add', name: 'paint', data: { colour: 'red', n: 1 }, opts: {} }, async () => (await q.add('paint', { colour: 'red', n: 1 })).id);
  tick(10);
  await c.step('second job, some options', { op: 'add', name: 'paint', data: [1, 'x', null], opts: { attempts: 3, backoff: 1000, removeOnComplete: true, removeOnFail: { age: 3600, count: 10 }, keepLogs: 5, stackTraceLimit: 2, sizeLimit: 1000 } },
    async () => (await q.add('paint', [1, 'x', null], { attempts: 3, backoff: 1000, removeOnComplete: true, removeOnFail: { age: 3600, count: 10 }, keepLogs: 5, stackTraceLimit: 2, sizeLimit: 1000 })).id);
  await c.step('LIFO job', { op: 'add', name: 'lifo', data: {}, opts: { lifo: true } }, async () => (await q.add('lifo', {}, { lifo: true })).id);
  await c.step('custom id', { op: 'add', name: 'c', data: 'text', opts: { jobId: 'my-id' } }, async () => (await q.add('c', 'text', { jobId: 'my-id' })).id);
  await c.step('same custom id again', { op: 'add', name: 'c', data: 'other', opts: { jobId: 'my-id' } }, async () => (await q.add('c', 'other', { jobId: 'my-id' })).id);
  await c.step('data undefined', { op: 'add', name: 'u', data: '<undefined>', opts: {} }, async () => (await q.add('u', undefined)).id);
  await c.step('invalid: integer custom id', { op: 'add', opts: { jobId: '77' } }, async () => q.add('x', {}, { jobId: '77' }));
  await c.step('invalid: colon in id', { op: 'add', opts: { jobId: 'a:b' } }, async () => q.add('x', {}, { jobId: 'a:b' }));
  await c.step('invalid: id 0', { op: 'add', opts: { jobId: '0' } }, async () => q.add('x', {}, { jobId: '0' }));
  await c.step('allowed: exactly two colons', { op: 'add', opts: { jobId: 'a:b:c' } }, async () => (await q.add('x', {}, { jobId: 'a:b:c' })).id);
  await c.step('bulk of two', { op: 'addBulk' }, async () => (await q.addBulk([{ name: 'b1', data: {} }, { name: 'b2', data: {}, opts: { priority: 4 } }])).map(j => j.id));
});

scenario('02-add-delayed', 'delayed scores, marker "1", changeDelay, promote, promoteJobs', async c => {
  const q = c.queue('q1'); await q.waitUntilReady(); await pause(50);
  await c.step('delay 5000', { op: 'add', opts: { delay: 5000 } }, async () => (await q.add('d', {}, { delay: 5000 })).id);
  await c.step('same due millisecond', { op: 'add', opts: { delay: 5000 } }, async () => (await q.add('d', {}, { delay: 5000 })).id);
  await c.step('earlier due time', { op: 'add', opts: { delay: 1000 } }, async () => (await q.add('d', {}, { delay: 1000 })).id);
  await c.step('delayed + priority', { op: 'add', opts: { delay: 2000, priority: 7 } }, async () => (await q.add('d', {}, { delay: 2000, priority: 7 })).id);
  await c.step('own timestamp', { op: 'add', opts: { delay: 500, timestamp: T0 - 100 } }, async () => (await q.add('d', {}, { delay: 500, timestamp: T0 - 100 })).id);
  tick(100);
  const j1 = await q.getJob('1');
  await c.step('changeDelay job 1 to 9000', { op: 'changeDelay', id: '1', delay: 9000 }, async () => j1.changeDelay(9000));
  const j2 = await q.getJob('2');
  await c.step('promote job 2', { op: 'promote', id: '2' }, async () => j2.promote());
  await c.step('promote job 2 again', { op: 'promote', id: '2' }, async () => j2.promote());
  const j4 = await q.getJob('4');
  await c.step('promote prioritized job 4', { op: 'promote', id: '4' }, async () => j4.promote());
  const w = c.worker('q1'); await w.waitUntilReady();
  tick(900);
  await c.step('take at T0+1000: due jobs are promoted first', { op: 'take', token: 'tok-1' }, async () => next(w, 'tok-1'));
  await c.step('promoteJobs: everything', { op: 'promoteJobs' }, async () => q.promoteJobs());
});

scenario('03-prioritized', 'priority scores, ordering, changePriority, counts per priority', async c => {
  const q = c.queue('q1'); await q.waitUntilReady(); await pause(50);
  await c.step('priority 5', { op: 'add', opts: { priority: 5 } }, async () => (await q.add('p', {}, { priority: 5 })).id);
  await c.step('priority 1', { op: 'add', opts: { priority: 1 } }, async () => (await q.add('p', {}, { priority: 1 })).id);
  await c.step('priority 5 again', { op: 'add', opts: { priority: 5 } }, async () => (await q.add('p', {}, { priority: 5 })).id);
  await c.step('priority 2097151', { op: 'add', opts: { priority: 2097151 } }, async () => (await q.add('p', {}, { priority: 2097151 })).id);
  await c.step('no priority', { op: 'add', opts: {} }, async () => (await q.add('p', {})).id);
  await c.step('too big', { op: 'add', opts: { priority: 2097152 } }, async () => q.add('p', {}, { priority: 2097152 }));
  const j = id => q.getJob(id);
  await c.step('changePriority 4 -> 2', { op: 'changePriority', id: '4', priority: 2 }, async () => (await j('4')).changePriority({ priority: 2 }));
  await c.step('changePriority 3 -> 5 lifo', { op: 'changePriority', id: '3', priority: 5, lifo: true }, async () => (await j('3')).changePriority({ priority: 5, lifo: true }));
  await c.step('changePriority 1 -> 0', { op: 'changePriority', id: '1', priority: 0 }, async () => (await j('1')).changePriority({ priority: 0 }));
  await c.step('counts per priority', { op: 'getCountsPerPriority', priorities: [0, 1, 2, 5] }, async () => q.getCountsPerPriority([0, 1, 2, 5]));
  const w = c.worker('q1'); await w.waitUntilReady();
  const order = [];
  await c.step('take one (wait list first)', { op: 'take', token: 't1' }, async () => next(w, 't1'));
  await c.step('take the rest in order', { op: 'take x5' }, async () => { for (let i = 0; i < 5; i++) order.push((await next(w, 't' + (i + 2)))?.id ?? null); return order; });
});

scenario('04-take-complete', 'take, lock, complete with and without fetch-next, drained, return values', async c => {
  const q = c.queue('q1'); await q.waitUntilReady(); await pause(50);
  const w = c.worker('q1', { name: 'wk', lockDuration: 30000 }); await w.waitUntilReady();
  await q.add('a', { i: 1 }); await q.add('b', { i: 2 }); await q.add('c', { i: 3 });
  await c.step('three waiting jobs', { op: 'setup' }, async () => null);
  tick(5);
  let job;
  await c.step('take', { op: 'take', token: 'tok-1' }, async () => { job = await take(w, 'tok-1'); return job; });
  tick(5);
  let res;
  await c.step('complete and fetch next', { op: 'complete', id: '1', token: 'tok-1', returnvalue: { ok: true }, fetchNext: true }, async () => { res = await job.moveToCompleted({ ok: true }, 'tok-1', true); return { nextId: res?.[1], limitDelay: res?.[2], delayUntil: res?.[3] }; });
  const job2 = Job.fromJSON(w, res[0], res[1]);
  await c.step('complete job 2 without fetch', { op: 'complete', id: '2', returnvalue: '<undefined>', fetchNext: false }, async () => { const r = await job2.moveToCompleted(undefined, 'tok-1', false); return r ?? null; });
  await c.step('complete job 2 again', { op: 'complete', id: '2' }, async () => job2.moveToCompleted('x', 'tok-1', false));
  await c.step('take job 3', { op: 'take', token: 'tok-9' }, async () => { job = await take(w, 'tok-9'); return job; });
  await c.step('wrong token', { op: 'complete', id: '3', token: 'other' }, async () => job.moveToCompleted('x', 'other', false));
  await c.step('extend lock', { op: 'extendLock', id: '3', token: 'tok-9', duration: 60000 }, async () => job.extendLock('tok-9', 60000));
  await c.step('complete last job: drained', { op: 'complete', id: '3', token: 'tok-9', returnvalue: 'done', fetchNext: false }, async () => (await job.moveToCompleted('done', 'tok-9', false)) ?? null);
  await c.step('take from empty', { op: 'take', token: 'tok-10' }, async () => next(w, 'tok-10'));
});

scenario('05-fail-retry', 'immediate retry, delayed retry, exhausted, unrecoverable, manual retry', async c => {
  const q = c.queue('q1'); await q.waitUntilReady(); await pause(50);
  const w = c.worker('q1'); await w.waitUntilReady();
  await q.add('a', {}, { attempts: 3, backoff: { type: 'exponential', delay: 1000 } });
  let job = await take(w, 'k1');
  await c.step('job taken (attempts 3, exponential 1000)', { op: 'setup' }, async () => null);
  await c.step('fail 1: delayed 1000', { op: 'fail', id: '1', error: 'boom1' }, async () => (await job.moveToFailed(new Error('boom1'), 'k1', false)) ?? null);
  tick(1000);
  await c.step('take again when due', { op: 'take', token: 'k2' }, async () => { job = await take(w, 'k2'); return job; });
  await c.step('fail 2: delayed 2000, fetch next', { op: 'fail', id: '1', error: 'boom2', fetchNext: true }, async () => (await job.moveToFailed(new Error('boom2'), 'k2', true)) ?? null);
  tick(2000);
  job = await take(w, 'k3');
  await c.step('fail 3: final', { op: 'fail', id: '1', error: 'boom3' }, async () => (await job.moveToFailed(new Error('boom3'), 'k3', false)) ?? null);
  await q.add('b', {}, { attempts: 2 });
  job = await take(w, 'k4');
  await c.step('fail without backoff: straight back to wait', { op: 'fail', id: '2', error: 'x' }, async () => (await job.moveToFailed(new Error('x'), 'k4', false)) ?? null);
  job = await take(w, 'k5');
  await c.step('unrecoverable error', { op: 'fail', id: '2', error: 'UnrecoverableError: stop' }, async () => (await job.moveToFailed(new bullmq.UnrecoverableError('stop'), 'k5', false)) ?? null);
  await c.step('manual retry of job 1', { op: 'retry', id: '1', state: 'failed' }, async () => (await q.getJob('1')).retry());
  await c.step('manual retry of job 2, reset counters', { op: 'retry', id: '2', resetAttemptsMade: true, resetAttemptsStarted: true }, async () => (await q.getJob('2')).retry('failed', { resetAttemptsMade: true, resetAttemptsStarted: true }));
  await c.step('retry a job that is not failed', { op: 'retry', id: '1' }, async () => (await q.getJob('1')).retry());
  await q.add('pr', {}, { priority: 3, attempts: 1 });
  for (let i = 0; i < 2; i++) await take(w, 'm' + i);
  job = await take(w, 'k6');
  await c.step('prioritized job fails, no attempts left', { op: 'fail', id: job.id }, async () => (await job.moveToFailed(new Error('p'), 'k6', false)) ?? null);
  await c.step('manual retry of a prioritized job (6.2: wait list, 6.7: prioritized)', { op: 'retry', id: job.id }, async () => (await q.getJob(job.id)).retry());
});

scenario('06-pause-resume', 'pause keeps the wait list in v6; marker removal; adding while paused', async c => {
  const q = c.queue('q1'); await q.waitUntilReady(); await pause(50);
  const w = c.worker('q1'); await w.waitUntilReady();
  await q.add('a', {}); await q.add('b', {}, { priority: 2 });
  await c.step('two jobs', { op: 'setup' }, async () => null);
  await c.step('pause', { op: 'pause' }, async () => q.pause());
  await c.step('add while paused', { op: 'add' }, async () => (await q.add('c', {})).id);
  await c.step('add delayed while paused', { op: 'add', opts: { delay: 1000 } }, async () => (await q.add('d', {}, { delay: 1000 })).id);
  await c.step('take while paused', { op: 'take', token: 't' }, async () => next(w, 't'));
  await c.step('counts while paused', { op: 'getJobCounts' }, async () => q.getJobCounts());
  await c.step('pause again', { op: 'pause' }, async () => q.pause());
  await c.step('resume', { op: 'resume' }, async () => q.resume());
  await c.step('drain (not delayed)', { op: 'drain', delayed: false }, async () => q.drain(false));
  await c.step('pause the drained queue', { op: 'pause' }, async () => q.pause());
  await c.step('resume with only a delayed job: marker 1', { op: 'resume' }, async () => q.resume());
  if (MAJOR >= 6) {
    await raw.rpush('bull:q1:paused', 'x3', 'x2', 'x1'); await q.add('e', {}); await raw.hset('bull:q1:meta', 'paused', '1');
    await c.step('left-over v5 paused list (head x3,x2,x1) + a waiting job', { op: 'setup' }, async () => null);
    await c.step('resume merges the legacy list', { op: 'resume' }, async () => q.resume());
  }
});

scenario('07-rate-limit', 'worker limiter, manual limit, global limit in meta', async c => {
  const q = c.queue('q1'); await q.waitUntilReady(); await pause(50);
  const w = c.worker('q1', { limiter: { max: 2, duration: 5000 } }); await w.waitUntilReady();
  for (let i = 0; i < 5; i++) await q.add('a', { i });
  const b = be(w);
  const rawTake = async t => { const r = await b.moveToActive ? await (MAJOR >= 6 ? b.moveToActive(t, undefined) : b.moveToActive(await w.client, t, undefined)) : null; return { id: r[1] || 0, rateLimited: r[2] > 0 ? '<ttl>' : 0, delayUntil: r[3] }; };
  await c.step('take 1', { op: 'take', token: 't1' }, () => rawTake('t1'));
  await c.step('take 2', { op: 'take', token: 't2' }, () => rawTake('t2'));
  await c.step('take 3: limited', { op: 'take', token: 't3' }, () => rawTake('t3'));
  await c.step('rate limit ttl', { op: 'getRateLimitTtl', max: 2 }, async () => (await q.getRateLimitTtl(2)) > 0 ? '<ttl>' : 0);
  await c.step('worker.rateLimit(3000)', { op: 'rateLimit', ms: 3000 }, async () => w.rateLimit(3000));
  const j1 = await q.getJob('1');
  await c.step('RateLimitError path: job 1 back to wait (tail)', { op: 'moveToWait', id: '1', token: 't1' }, async () => { const ttl = MAJOR >= 6 ? await be(w).moveJobFromActiveToWait('1', 't1') : await be(w).moveJobFromActiveToWait('1', 't1'); return ttl > 0 ? '<ttl>' : 0; });
  await c.step('removeRateLimitKey', { op: 'removeRateLimitKey' }, async () => q.removeRateLimitKey());
  await c.step('setGlobalRateLimit(1, 1000)', { op: 'setGlobalRateLimit', max: 1, duration: 1000 }, async () => q.setGlobalRateLimit(1, 1000));
  await c.step('take: global max wins over worker max', { op: 'take', token: 't4' }, () => rawTake('t4'));
  await c.step('take: limited by global', { op: 'take', token: 't5' }, () => rawTake('t5'));
  await c.step('removeGlobalRateLimit', { op: 'removeGlobalRateLimit' }, async () => q.removeGlobalRateLimit());
});

scenario('08-global-concurrency', 'meta.concurrency', async c => {
  const q = c.queue('q1'); await q.waitUntilReady(); await pause(50);
  const w = c.worker('q1'); await w.waitUntilReady();
  await c.step('setGlobalConcurrency(1)', { op: 'setGlobalConcurrency', n: 1 }, async () => q.setGlobalConcurrency(1));
  await q.add('a', {}); await q.add('b', {});
  let job;
  await c.step('take', { op: 'take', token: 't1' }, async () => { job = await take(w, 't1'); return job; });
  await raw.del('bull:q1:marker');
  await c.step('(marker consumed) add while maxed: no marker', { op: 'add' }, async () => (await q.add('c', {})).id);
  await c.step('take while maxed', { op: 'take', token: 't2' }, async () => next(w, 't2'));
  await c.step('isMaxed', { op: 'isMaxed' }, async () => q.isMaxed());
  await c.step('complete with fetch next frees the slot', { op: 'complete', fetchNext: true }, async () => { const r = await job.moveToCompleted(1, 't1', true); return { next: r?.[1] }; });
});

scenario('09-stalled', 'two-phase stalled detection; recovery; too many stalls', async c => {
  const q = c.queue('q1'); await q.waitUntilReady(); await pause(50);
  const w = c.worker('q1', { maxStalledCount: 1 }, async () => 'never'); await w.waitUntilReady();
  await q.add('a', {}, { attempts: 5 });
  await take(w, 's1');
  await c.step('job active', { op: 'setup' }, async () => null);
  await c.step('check 1: only marks', { op: 'stalledCheck' }, () => stalledCheck(w));
  await c.step('check while stalled-check key lives: no-op', { op: 'stalledCheck' }, () => stalledCheck(w));
  await raw.del('bull:q1:stalled-check');
  await c.step('check 2, lock still held: nothing moved', { op: 'stalledCheck', note: 'stalled-check key expired' }, () => stalledCheck(w));
  await raw.del('bull:q1:stalled-check', 'bull:q1:1:lock');
  await c.step('check 3, lock lost: back to wait', { op: 'stalledCheck', note: 'lock expired' }, () => stalledCheck(w));
  let job = await take(w, 's2');
  await raw.del('bull:q1:stalled-check', 'bull:q1:1:lock');
  await stalledCheck(w); await raw.del('bull:q1:stalled-check');
  await c.step('second stall: over the limit, still goes back to wait but carries defa', { op: 'stalledCheck' }, () => stalledCheck(w));
  job = await take(w, 's3');
  await c.step('taken again', { op: 'take', token: 's3' }, async () => jobView(job));
  await c.step('worker fails it without running the processor', { op: 'process', id: '1' }, async () => { await w.processJob(job, 's3', () => false); return null; });
  await q.add('gone', {}); job = await take(w, 's4');
  await raw.del('bull:q1:' + job.id + ':lock');
  await c.step('complete after the lock was lost', { op: 'complete', id: job.id, token: 's4' }, async () => job.moveToCompleted(1, 's4', false));
});

scenario('10-flow', 'parent with two children in another queue; results; nested waiting', async c => {
  const f = c.flow(); const qp = c.queue('parents'); const qc = c.queue('kids'); await qp.waitUntilReady(); await qc.waitUntilReady(); await pause(50);
  const w = c.worker('kids'); const wp = c.worker('parents'); await w.waitUntilReady(); await wp.waitUntilReady();
  await c.step('add flow', { op: 'flow.add', tree: { name: 'p', queueName: 'parents', opts: { jobId: 'P' }, children: [{ name: 'c1', queueName: 'kids', opts: { jobId: 'C1' } }, { name: 'c2', queueName: 'kids', opts: { jobId: 'C2' } }] } },
    async () => { const t = await f.add({ name: 'p', queueName: 'parents', data: { p: 1 }, opts: { jobId: 'P' }, children: [{ name: 'c1', queueName: 'kids', data: { k: 1 }, opts: { jobId: 'C1' } }, { name: 'c2', queueName: 'kids', data: { k: 2 }, opts: { jobId: 'C2' } }] }); return { id: t.job.id, kids: t.children.map(x => x.job.id) }; });
  let j = await take(w, 'f1');
  await c.step('child 1 completes', { op: 'complete', id: j.id, returnvalue: { r: 1 } }, async () => (await j.moveToCompleted({ r: 1 }, 'f1', false)) ?? null);
  j = await take(w, 'f2');
  await c.step('child 2 completes: parent released', { op: 'complete', id: j.id, returnvalue: 'two' }, async () => (await j.moveToCompleted('two', 'f2', false)) ?? null);
  const p = await take(wp, 'f3');
  await c.step('children values / dependencies', { op: 'getChildrenValues' }, async () => ({ values: await p.getChildrenValues(), deps: await p.getDependencies(), counts: await p.getDependenciesCount() }));
  const extra = await qc.add('late', {}, { jobId: 'C3', parent: { id: 'P', queue: 'bull:parents' } });
  await c.step('child added while parent is active', { op: 'add', opts: { jobId: 'C3', parent: { id: 'P', queue: 'bull:parents' } } }, async () => extra.id);
  await c.step('completing the parent with pending children', { op: 'complete', id: 'P' }, async () => p.moveToCompleted(1, 'f3', false));
  await c.step('moveToWaitingChildren', { op: 'moveToWaitingChildren', id: 'P' }, async () => p.moveToWaitingChildren('f3'));
  await c.step('add child of unknown parent', { op: 'add', opts: { parent: { id: 'nope', queue: 'bull:parents' } } }, async () => qc.add('x', {}, { parent: { id: 'nope', queue: 'bull:parents' } }));
  await c.step('remove the last pending child: parent released', { op: 'remove', id: 'C3' }, async () => qc.remove('C3'));
});

for (const [tag, opt] of [['fail-parent', 'failParentOnFailure'], ['ignore', 'ignoreDependencyOnFailure'], ['remove', 'removeDependencyOnFailure'], ['continue', 'continueParentOnFailure'], ['default', null]]) {
  scenario(`11-flow-${tag}`, `child failure with ${opt ?? 'no option'}`, async c => {
    const f = c.flow(); const qp = c.queue('parents'); const qc = c.queue('kids'); await qp.waitUntilReady(); await qc.waitUntilReady(); await pause(50);
    const w = c.worker('kids'); const wp = c.worker('parents', {}, async () => 'ran'); await w.waitUntilReady(); await wp.waitUntilReady();
    const o = id => ({ jobId: id, ...(opt ? { [opt]: true } : {}) });
    await c.step('add flow', { op: 'flow.add', childOption: opt }, async () => { await f.add({ name: 'p', queueName: 'parents', opts: { jobId: 'P' }, children: [{ name: 'c1', queueName: 'kids', opts: o('C1') }, { name: 'c2', queueName: 'kids', opts: o('C2') }] }); return null; });
    let j = await take(w, 'g1');
    await c.step('first child fails', { op: 'fail', id: j.id }, async () => (await j.moveToFailed(new Error('child broke'), 'g1', false)) ?? null);
    j = await take(w, 'g2');
    await c.step('second child completes', { op: 'complete', id: j.id }, async () => (await j.moveToCompleted('ok', 'g2', false)) ?? null);
    const p = await take(wp, 'g3');
    await c.step('parent taken?', { op: 'take', queue: 'parents' }, async () => jobView(p));
    if (p) await c.step('parent processed by a worker', { op: 'process', id: 'P' }, async () => { await wp.processJob(p, 'g3', () => false); return { deps: await (await qp.getJob('P'))?.getDependencies() }; });
    await c.step('retry the failed child', { op: 'retry', id: 'C1' }, async () => { const fj = (await qc.getFailed())[0]; return fj.retry(); });
  });
}

scenario('12-dedup', 'simple, ttl, extend, replace, keepLastIfActive', async c => {
  const q = c.queue('q1'); await q.waitUntilReady(); await pause(50);
  const w = c.worker('q1'); await w.waitUntilReady();
  const add = (n, o) => q.add(n, { n }, o).then(j => j.id);
  await c.step('simple: first', { op: 'add', opts: { deduplication: { id: 's' } } }, () => add('s1', { deduplication: { id: 's' } }));
  await c.step('simple: second', { op: 'add', opts: { deduplication: { id: 's' } } }, () => add('s2', { deduplication: { id: 's' } }));
  let j = await take(w, 'd1');
  await c.step('simple: completing frees the key', { op: 'complete', id: j.id }, async () => (await j.moveToCompleted(1, 'd1', false)) ?? null);
  await c.step('ttl: first', { op: 'add', opts: { deduplication: { id: 't', ttl: 60000 } } }, () => add('t1', { deduplication: { id: 't', ttl: 60000 } }));
  await c.step('ttl: second', { op: 'add', opts: { deduplication: { id: 't', ttl: 60000 } } }, () => add('t2', { deduplication: { id: 't', ttl: 60000 } }));
  j = await take(w, 'd2');
  await c.step('ttl: completion keeps the key until it expires', { op: 'complete', id: j.id }, async () => (await j.moveToCompleted(1, 'd2', false)) ?? null);
  await c.step('debounce: first (delay+ttl+extend+replace)', { op: 'add', opts: { delay: 5000, deduplication: { id: 'e', ttl: 5000, extend: true, replace: true } } }, () => add('e1', { delay: 5000, deduplication: { id: 'e', ttl: 5000, extend: true, replace: true } }));
  tick(1000);
  await c.step('debounce: second replaces', { op: 'add', opts: { delay: 5000, deduplication: { id: 'e', ttl: 5000, extend: true, replace: true } } }, () => add('e2', { delay: 5000, deduplication: { id: 'e', ttl: 5000, extend: true, replace: true } }));
  await c.step('extend without replace: first', { op: 'add', opts: { deduplication: { id: 'x', ttl: 9000, extend: true } } }, () => add('x1', { deduplication: { id: 'x', ttl: 9000, extend: true } }));
  await c.step('extend without replace: second', { op: 'add', opts: { deduplication: { id: 'x', ttl: 20000, extend: true } } }, () => add('x2', { deduplication: { id: 'x', ttl: 20000, extend: true } }));
  j = await take(w, 'd3');
  if (bullmq.Queue) {
    await c.step('keepLast: first', { op: 'add', opts: { deduplication: { id: 'k', keepLastIfActive: true } } }, () => add('k1', { deduplication: { id: 'k', keepLastIfActive: true } }));
    const k = await take(w, 'd4');
    await c.step('keepLast: active; second stored aside', { op: 'add' }, () => add('k2', { deduplication: { id: 'k', keepLastIfActive: true } }));
    await c.step('keepLast: third overwrites', { op: 'add', opts: { priority: 3 } }, () => add('k3', { priority: 3, deduplication: { id: 'k', keepLastIfActive: true } }));
    await c.step('keepLast: completing creates the stored job', { op: 'complete', id: k.id }, async () => (await k.moveToCompleted(1, 'd4', false)) ?? null);
    await c.step('keepLast: job removed clears keys', { op: 'remove' }, async () => q.remove((await q.getPrioritized())[0].id));
  }
  await c.step('removeDeduplicationKey', { op: 'removeDeduplicationKey', id: 't' }, () => q.removeDeduplicationKey('t'));
  await c.step('reschedule option (6.7): first', { op: 'add', opts: { delay: 5000, deduplication: { id: 'r', reschedule: true } } }, () => add('r1', { delay: 5000, deduplication: { id: 'r', reschedule: true } }));
  tick(500);
  await c.step('reschedule option (6.7): second', { op: 'add', opts: { delay: 9000, deduplication: { id: 'r', reschedule: true } } }, () => add('r2', { delay: 9000, deduplication: { id: 'r', reschedule: true } }));
});

scenario('13-scheduler-every', 'upsert every; iterations; offset; change; remove', async c => {
  const q = c.queue('q1'); await q.waitUntilReady(); await pause(50);
  const w = c.worker('q1'); await w.waitUntilReady();
  const up = (id, r, t) => q.upsertJobScheduler(id, r, t).then(j => j?.id ?? null);
  await c.step('upsert every 60000', { op: 'upsertJobScheduler', id: 'sch', repeat: { every: 60000 }, template: { name: 'tick', data: { a: 1 }, opts: { attempts: 2, priority: 4 } } }, () => up('sch', { every: 60000 }, { name: 'tick', data: { a: 1 }, opts: { attempts: 2, priority: 4 } }));
  await c.step('upsert again, same', { op: 'upsertJobScheduler' }, () => up('sch', { every: 60000 }, { name: 'tick', data: { a: 2 }, opts: { attempts: 2, priority: 4 } }));
  tick(10);
  let j;
  await c.step('take: schedules the next iteration', { op: 'take', token: 'r1' }, async () => { j = await take(w, 'r1'); return j; });
  await c.step('complete', { op: 'complete' }, async () => (await j.moveToCompleted(1, 'r1', false)) ?? null);
  await c.step('getJobSchedulers', { op: 'getJobSchedulers' }, () => q.getJobSchedulers());
  await c.step('change every to 10000', { op: 'upsertJobScheduler', repeat: { every: 10000 } }, () => up('sch', { every: 10000 }, { name: 'tick' }));
  await c.step('removing the scheduled job directly', { op: 'remove' }, async () => { const d = [...await q.getDelayed(), ...await q.getWaiting(), ...await q.getPrioritized()]; return q.remove(d[0].id); });
  await c.step('remove scheduler', { op: 'removeJobScheduler' }, () => q.removeJobScheduler('sch'));
  await c.step('remove scheduler again', { op: 'removeJobScheduler' }, () => q.removeJobScheduler('sch'));
  await c.step('with offset', { op: 'upsertJobScheduler', id: 'off', repeat: { every: 60000, offset: 5000 } }, () => up('off', { every: 60000, offset: 5000 }, { name: 'o' }));
  await c.step('with startDate, limit, endDate', { op: 'upsertJobScheduler', id: 'lim', repeat: { every: 1000, startDate: T0 + 5000, endDate: T0 + 99000, limit: 2 } }, () => up('lim', { every: 1000, startDate: T0 + 5000, endDate: T0 + 99000, limit: 2 }, { name: 'l' }));
});

scenario('14-scheduler-cron', 'upsert pattern; tz; immediately; limit', async c => {
  const q = c.queue('q1'); await q.waitUntilReady(); await pause(50);
  const w = c.worker('q1'); await w.waitUntilReady();
  const up = (id, r, t) => q.upsertJobScheduler(id, r, t).then(j => j?.id ?? null);
  await c.step('cron every 15 minutes', { op: 'upsertJobScheduler', id: 'cr', repeat: { pattern: '0 */15 * * * *', tz: 'UTC' } }, () => up('cr', { pattern: '0 */15 * * * *', tz: 'UTC' }, { name: 'c', data: { z: 1 }, opts: { removeOnComplete: 5 } }));
  await c.step('immediately', { op: 'upsertJobScheduler', id: 'im', repeat: { pattern: '0 0 * * *', tz: 'UTC', immediately: true, limit: 2 } }, () => up('im', { pattern: '0 0 * * *', tz: 'UTC', immediately: true, limit: 2 }));
  let j;
  await c.step('take immediate one', { op: 'take', token: 'c1' }, async () => { j = await take(w, 'c1'); return j; });
  await c.step('complete it', { op: 'complete' }, async () => (await j.moveToCompleted(1, 'c1', false)) ?? null);
  now = Math.ceil((now + 1) / 86400000) * 86400000 + 5;
  const taken = [];
  await c.step('next midnight: take twice', { op: 'take x2' }, async () => { for (const t of ['c2', 'c3']) { const x = await take(w, t); taken.push(x?.id ?? null); if (x) await x.moveToCompleted(1, t, false); } return taken; });
  now += 86400000;
  await c.step('next midnight again', { op: 'take x3' }, async () => { const t3 = []; for (const t of ['c4', 'c5', 'c6']) { const x = await take(w, t); t3.push(x?.id ?? null); if (x) await x.moveToCompleted(1, t, false); } return t3; });
  await c.step('getJobScheduler', { op: 'getJobScheduler', id: 'cr' }, () => q.getJobScheduler('cr'));
});

scenario('15-metrics-keep', 'metrics lists; removeOnComplete count/age/true', async c => {
  const q = c.queue('q1'); await q.waitUntilReady(); await pause(50);
  const w = c.worker('q1', { metrics: { maxDataPoints: 5 }, removeOnComplete: { count: 2 } }); await w.waitUntilReady();
  const one = async (opts, fail) => { await q.add('m', {}, opts); const j = await take(w, 'z'); return (fail ? j.moveToFailed(new Error('f'), 'z', false) : j.moveToCompleted(1, 'z', false)); };
  await c.step('first completion', { op: 'complete' }, async () => { await one({}); return null; });
  tick(1000); await one({}); await one({});
  await c.step('three in the same minute (worker keeps 2)', { op: 'complete x2' }, async () => null);
  tick(60000);
  await c.step('one minute later', { op: 'complete' }, async () => { await one({}); return null; });
  tick(180000);
  await c.step('three minutes later', { op: 'complete' }, async () => { await one({}); return null; });
  await c.step('job-level removeOnComplete true', { op: 'complete', opts: { removeOnComplete: true } }, async () => { await one({ removeOnComplete: true }); return null; });
  tick(60000);
  await c.step('job-level age 100 s', { op: 'complete', opts: { removeOnComplete: { age: 100 } } }, async () => { await one({ removeOnComplete: { age: 100 } }); return null; });
  await c.step('failure kept 1', { op: 'fail', opts: { removeOnFail: 1 } }, async () => { await one({ removeOnFail: 1 }, true); await one({ removeOnFail: 1 }, true); return null; });
  await c.step('getMetrics', { op: 'getMetrics' }, async () => ({ completed: await q.getMetrics('completed'), failed: await q.getMetrics('failed') }));
});

scenario('16-update-remove-clean', 'progress, logs, data, remove, clean, drain, obliterate', async c => {
  const q = c.queue('q1', { defaultJobOptions: { keepLogs: 2 } }); await q.waitUntilReady(); await pause(50);
  const w = c.worker('q1'); await w.waitUntilReady();
  await q.add('a', { v: 1 });
  let j = await take(w, 'u1');
  await c.step('progress number', { op: 'updateProgress', value: 42 }, async () => j.updateProgress(42));
  await c.step('progress object', { op: 'updateProgress', value: { pct: 1 } }, async () => j.updateProgress({ pct: 1 }));
  await c.step('data', { op: 'updateData', value: { v: 2 } }, async () => j.updateData({ v: 2 }));
  await c.step('three logs, keepLogs 2', { op: 'log x3' }, async () => [await j.log('l1'), await j.log('l2'), await j.log('l3')]);
  await c.step('getJobLogs', { op: 'getJobLogs' }, async () => q.getJobLogs('1'));
  await c.step('remove an active (locked) job', { op: 'remove', id: '1' }, async () => q.remove('1'));
  await c.step('complete', { op: 'complete' }, async () => (await j.moveToCompleted(1, 'u1', false)) ?? null);
  await c.step('remove completed', { op: 'remove', id: '1' }, async () => q.remove('1'));
  for (let i = 0; i < 3; i++) await q.add('w', { i });
  await q.add('d', {}, { delay: 99999 }); await q.add('p', {}, { priority: 1 });
  for (let i = 0; i < 2; i++) { j = await take(w, 'v' + i); await j.moveToCompleted(i, 'v' + i, false); tick(1000); }
  await c.step('setup: 2 completed, 1 waiting, 1 delayed, 1 prioritized', { op: 'setup' }, async () => null);
  await c.step('clean completed older than 1500ms', { op: 'clean', grace: 1500, limit: 0, type: 'completed' }, () => q.clean(1500, 0, 'completed'));
  await c.step('clean delayed', { op: 'clean', grace: 0, limit: 10, type: 'delayed' }, () => q.clean(0, 10, 'delayed'));
  await q.add('d', {}, { delay: 99999 });
  await c.step('drain including delayed', { op: 'drain', delayed: true }, () => q.drain(true));
  j = await (await q.add('z', {}), take(w, 'v9'));
  await c.step('obliterate with an active job', { op: 'obliterate' }, () => q.obliterate());
  await c.step('obliterate force', { op: 'obliterate', force: true }, () => q.obliterate({ force: true }));
});

scenario('17-step-jobs', 'DelayedError / WaitingError paths', async c => {
  const q = c.queue('q1'); await q.waitUntilReady(); await pause(50);
  const w = c.worker('q1'); await w.waitUntilReady();
  await q.add('a', {}); await q.add('b', {}, { priority: 3 });
  const a = await take(w, 'x1'); const b = await take(w, 'x2');
  await c.step('both active', { op: 'setup' }, async () => null);
  await c.step('moveToDelayed (skip attempt)', { op: 'moveToDelayed', id: '1', timestamp: T0 + 3000 }, async () => a.moveToDelayed(T0 + 3000, 'x1'));
  await c.step('moveToWait prioritized', { op: 'moveToWait', id: '2' }, async () => b.moveToWait('x2'));
  await q.add('c', {}); const cc = await take(w, 'x3');
  await q.add('d', {});
  await c.step('moveToWait standard: goes to the take end', { op: 'moveToWait', id: cc.id }, async () => cc.moveToWait('x3'));
});

scenario('18-numbers-and-unicode', 'number formats, unicode, big values, telemetry options', async c => {
  const q = c.queue('q1'); await q.waitUntilReady(); await pause(50);
  const add = (n, d, o) => q.add(n, d, o).then(j => j.id);
  await c.step('unicode', { op: 'add' }, () => add('naïve-✓', { s: 'héllo ✓ \u0001 "q" \\ /', e: '😀' }, {}));
  await c.step('fraction delay', { op: 'add', opts: { delay: 1.5 } }, () => add('f', {}, { delay: 1.5 }));
  await c.step('huge numbers in opts', { op: 'add', opts: { sizeLimit: 123456789012345680, attempts: 1e15, removeOnComplete: { age: 0.5 } } }, () => add('h', {}, { sizeLimit: 123456789012345680, attempts: 1e15, removeOnComplete: { age: 0.5 } }));
  await c.step('telemetry', { op: 'add', opts: { telemetry: { metadata: 'tp', omitContext: true } } }, () => add('t', {}, { telemetry: { metadata: 'tp', omitContext: true } }));
  await c.step('unknown option, null, empty object, empty array', { op: 'add', opts: { custom: { a: null, b: [], c: {} }, nul: null } }, () => add('u', {}, { custom: { a: null, b: [], c: {} }, nul: null }));
  await c.step('slash in options', { op: 'add', opts: { custom: 'a/b' } }, () => add('sl', {}, { custom: 'a/b' }));
});

scenario('19-bulk-moves', 'retryJobs, promoteJobs with priorities, child dependency removal, parents with delay/priority', async c => {
  const q = c.queue('q1'); const q2 = c.queue('q2'); const f = c.flow(); await q.waitUntilReady(); await q2.waitUntilReady(); await pause(50);
  const w = c.worker('q1'); const w2 = c.worker('q2'); await w.waitUntilReady(); await w2.waitUntilReady();
  for (const [n, fail] of [['ok1', 0], ['ok2', 0], ['bad1', 1], ['bad2', 1]]) { await q.add(n, {}); const j = await take(w, 'a'); fail ? await j.moveToFailed(new Error('e'), 'a', false) : await j.moveToCompleted(1, 'a', false); tick(10); }
  await q.add('pbad', {}, { priority: 9 }); { const j = await take(w, 'a'); await j.moveToFailed(new Error('e'), 'a', false); }
  await c.step('2 completed, 3 failed (one of priority 9)', { op: 'setup' }, async () => null);
  await c.step('retryJobs failed', { op: 'retryJobs', state: 'failed', count: 1000 }, async () => q.retryJobs({ state: 'failed', timestamp: now }));
  await c.step('retryJobs completed up to a timestamp', { op: 'retryJobs', state: 'completed', timestamp: T0 }, async () => q.retryJobs({ state: 'completed', timestamp: T0 }));
  await q.drain();
  await q.add('dp', {}, { delay: 5000, priority: 2 });
  await c.step('promoteJobs of a delayed prioritized job: goes to wait', { op: 'promoteJobs' }, async () => q.promoteJobs());
  await q.drain();
  await f.add({ name: 'p', queueName: 'q1', opts: { jobId: 'P', delay: 3000 }, children: [{ name: 'c', queueName: 'q2', opts: { jobId: 'C1' } }] });
  { const j = await take(w2, 'b'); await c.step('parent with delay released by its child', { op: 'complete', id: 'C1' }, async () => (await j.moveToCompleted(1, 'b', false)) ?? null); }
  await f.add({ name: 'p', queueName: 'q1', opts: { jobId: 'P2', priority: 6 }, children: [{ name: 'c', queueName: 'q2', opts: { jobId: 'C2' } }, { name: 'c', queueName: 'q2', opts: { jobId: 'C3' } }] });
  await c.step('removeChildDependency C3', { op: 'removeChildDependency', id: 'C3' }, async () => (await q2.getJob('C3')).removeChildDependency());
  await c.step('remove C2: releases the priority parent', { op: 'remove', id: 'C2' }, async () => q2.remove('C2'));
  await c.step('completed child C1 attached to a new parent', { op: 'flow.add' }, async () => { await f.add({ name: 'p', queueName: 'q1', opts: { jobId: 'P3' }, children: [{ name: 'c', queueName: 'q2', opts: { jobId: 'C1' } }] }); return null; });
  await f.add({ name: 'g', queueName: 'q1', opts: { jobId: 'G' }, children: [{ name: 'm', queueName: 'q1', opts: { jobId: 'M' }, children: [{ name: 'l', queueName: 'q2', opts: { jobId: 'L1', failParentOnFailure: true } }, { name: 'l', queueName: 'q2', opts: { jobId: 'L2' } }] }] });
  await c.step('three level tree', { op: 'setup' }, async () => null);
  await c.step('removeUnprocessedChildren of M', { op: 'removeUnprocessedChildren', id: 'M' }, async () => (await q.getJob('M')).removeUnprocessedChildren());
  await c.step('remove G with its children', { op: 'remove', id: 'G' }, async () => q.remove('G'));
});

scenario('20-getters', 'ordering and pagination of the read side', async c => {
  const q = c.queue('q1'); const q2 = c.queue('q2'); const f = c.flow(); await q.waitUntilReady(); await q2.waitUntilReady(); await pause(50);
  const w = c.worker('q1', { name: 'named' }); await w.waitUntilReady();
  for (let i = 1; i <= 4; i++) { await q.add('done', { i }); const j = await take(w, 't'); await j.log('a'); await j.log('b'); await j.log('c'); await j.moveToCompleted(i, 't', false); tick(1000); }
  await q.add('act', {}); await take(w, 'ta'); await q.add('act', {}); await take(w, 'tb');
  for (let i = 0; i < 5; i++) await q.add('w', { i });
  await q.add('p', {}, { priority: 3 }); await q.add('p', {}, { priority: 1 });
  await q.add('d', {}, { delay: 9000 }); await q.add('d', {}, { delay: 3000 });
  await f.add({ name: 'par', queueName: 'q1', opts: { jobId: 'P' }, children: [1, 2, 3].map(i => ({ name: 'k', queueName: 'q2', opts: { jobId: 'K' + i } })) });
  await c.step('populated', { op: 'setup' }, async () => null);
  const ids = js => js.map(j => j.id);
  await c.step('job counts', { op: 'getJobCounts' }, () => q.getJobCounts());
  for (const st of ['waiting', 'active', 'prioritized', 'delayed', 'completed', 'waiting-children'])
    await c.step(`ids ${st}`, { op: 'getJobs', type: st }, async () => ({ desc: ids(await q.getJobs([st], 0, -1, false)), asc: ids(await q.getJobs([st], 0, -1, true)), page_desc_1_2: ids(await q.getJobs([st], 1, 2, false)), page_asc_1_2: ids(await q.getJobs([st], 1, 2, true)), ranges_asc_0_1: await q.getRanges([st], 0, 1, true) }));
  await c.step('several types together', { op: 'getJobs' }, async () => ids(await q.getJobs(['waiting', 'completed'], 0, 1, true)));
  await c.step('state of each', { op: 'getJobState' }, async () => Object.fromEntries(await Promise.all(['1', '5', '7', '12', '13', '14', 'P', 'nope'].map(async i => [i, await q.getJobState(i)]))));
  await c.step('logs', { op: 'getJobLogs' }, async () => ({ all: await q.getJobLogs('1'), desc: await q.getJobLogs('1', 0, 1, false), page: await q.getJobLogs('1', 1, 1) }));
  await c.step('dependencies page', { op: 'getDependencies' }, async () => { const r = await q.getDependencies('P', 'pending', 0, 1); return { total: r.total, n: r.items.length, jobs: r.jobs.length }; });
  await c.step('flow tree', { op: 'getFlow' }, async () => { const t = await f.getFlow({ id: 'P', queueName: 'q1' }); return { id: t.job.id, kids: ids(t.children.map(x => x.job)).sort() }; });
  await c.step('meta', { op: 'getMeta' }, () => q.getMeta());
  await c.step('prometheus', { op: 'exportPrometheusMetrics' }, () => q.exportPrometheusMetrics());
});

scenario('21-prefix', 'custom prefix with a cluster hash tag and a queue name with a space', async c => {
  const q = new Queue('my queue', { connection, prefix: '{acme}', streams: { events: { maxLen: 77 } } }); c.closers.push(() => q.close()); await q.waitUntilReady(); await pause(50);
  await c.step('add with parent in another queue of the same prefix', { op: 'add' }, async () => (await q.add('x', {}, { deduplication: { id: 'a:b c' } })).id);
  await c.step('trimEvents(0)', { op: 'trimEvents', n: 0 }, () => q.trimEvents(0));
  await c.step('bad queue name', { op: 'new Queue', name: 'a:b' }, async () => new Queue('a:b', { connection }));
});

scenario('22-markers', 'who writes the marker, when workers have popped it', async c => {
  const q = c.queue('q1'); await q.waitUntilReady(); await pause(50);
  const w = c.worker('q1', { maxStalledCount: 1 }); await w.waitUntilReady();
  const popped = async fn => { await raw.del('bull:q1:marker'); return fn(); };
  let j;
  await q.add('a', {}); await q.add('b', {}, { attempts: 5 }); await q.add('c', {}, { attempts: 5, backoff: 1000 }); await q.add('e', {});
  await q.add('p', {}, { priority: 5 });
  await c.step('take', { op: 'take' }, async () => popped(async () => { j = await take(w, 't1'); return j; }));
  await c.step('complete and fetch next', { op: 'complete', fetchNext: true }, async () => popped(async () => { const r = await j.moveToCompleted(1, 't1', true); j = Job.fromJSON(w, r[0], r[1]); return { nextId: r[1] }; }));
  await c.step('failed, again at once', { op: 'fail' }, async () => popped(async () => { await j.moveToFailed(new Error('x'), 't1', false); return null; }));
  j = await take(w, 't2');
  await c.step('failed, again later', { op: 'fail' }, async () => popped(async () => { await j.moveToFailed(new Error('x'), 't2', false); return null; }));
  await c.step('take beside a delayed job', { op: 'take' }, async () => popped(async () => { j = await take(w, 't3'); return j; }));
  await c.step('given back', { op: 'moveToWait' }, async () => popped(async () => { await j.moveToWait('t3'); return null; }));
  for (const t of ['t4', 't5', 't6']) j = await take(w, t);
  await c.step('given back with a priority', { op: 'moveToWait' }, async () => popped(async () => { await j.moveToWait('t6'); return null; }));
  await c.step('promoted', { op: 'promote' }, async () => popped(async () => { await (await q.getJob('3')).promote(); return null; }));
  await c.step('another priority', { op: 'changePriority' }, async () => popped(async () => { await (await q.getJob('3')).changePriority({ priority: 7 }); return null; }));
  await c.step('another priority, in front', { op: 'changePriority', lifo: true }, async () => popped(async () => { await (await q.getJob('3')).changePriority({ priority: 7, lifo: true }); return null; }));
  await q.add('d', {}, { delay: 4000 });
  await c.step('another delay', { op: 'changeDelay' }, async () => popped(async () => { await (await q.getJob('6')).changeDelay(8000); return null; }));
  await c.step('put off by its processor', { op: 'moveToDelayed' }, async () => popped(async () => { j = await take(w, 't7'); await raw.del('bull:q1:marker'); await j.moveToDelayed(T0 + 2000, 't7'); return null; }));
  await c.step('all promoted', { op: 'promoteJobs' }, async () => popped(async () => { await q.promoteJobs(); return null; }));
  j = await take(w, 't8'); await j.moveToFailed(new bullmq.UnrecoverableError('x'), 't8', false);
  await c.step('retried by hand', { op: 'retry' }, async () => popped(async () => { await j.retry(); return null; }));
  j = await take(w, 't9'); await j.moveToFailed(new bullmq.UnrecoverableError('x'), 't9', false);
  await c.step('all retried', { op: 'retryJobs' }, async () => popped(async () => { await q.retryJobs(); return null; }));
  j = await take(w, 'ta'); await stalledCheck(w); await raw.del('bull:q1:stalled-check', `bull:q1:${j.id}:lock`);
  await c.step('stalled', { op: 'stalledCheck' }, async () => popped(async () => { await stalledCheck(w); return null; }));
  await c.step('removed', { op: 'remove' }, async () => popped(async () => { await q.remove('5'); return null; }));
  await c.step('concurrency set', { op: 'setGlobalConcurrency' }, async () => popped(async () => { await q.setGlobalConcurrency(9); return null; }));
  await c.step('concurrency lifted', { op: 'removeGlobalConcurrency' }, async () => popped(async () => { await q.removeGlobalConcurrency(); return null; }));
  await q.rateLimit(1000);
  await c.step('rate limit lifted', { op: 'removeRateLimitKey' }, async () => popped(async () => { await q.removeRateLimitKey(); return null; }));
  await q.pause();
  await c.step('added while paused', { op: 'add' }, async () => popped(async () => (await q.add('f', {})).id));
  await c.step('resumed', { op: 'resume' }, async () => popped(async () => { await q.resume(); return null; }));
  await c.step('drained', { op: 'drain' }, async () => popped(async () => { await q.drain(true); return null; }));
  await c.step('take of nothing', { op: 'take' }, async () => popped(async () => take(w, 'tb')));
});

scenario('23-places', 'at which end of a line that holds others', async c => {
  const q = c.queue('q1'); const q2 = c.queue('q2'); const f = c.flow(); await q.waitUntilReady(); await q2.waitUntilReady(); await pause(50);
  const w = c.worker('q1', { maxStalledCount: 5 }); const w2 = c.worker('q2'); await w.waitUntilReady(); await w2.waitUntilReady();
  const again = async () => { await raw.del('bull:q1:stalled-check'); return stalledCheck(w); };
  let j;
  await q.add('a', {}); await q.add('b', {}); await q.add('c', {});
  j = await take(w, 't1');
  await c.step('marked as perhaps stalled', { op: 'stalledCheck' }, () => again());
  await c.step('finished while marked', { op: 'complete' }, async () => (await j.moveToCompleted(1, 't1', false)) ?? null);
  j = await take(w, 't2'); await again();
  await c.step('renewed while marked', { op: 'extendLock', duration: 30000 }, async () => j.extendLock('t2', 30000));
  await c.step('not renewed since: still marked after the next check', { op: 'stalledCheck' }, () => again());
  await q.add('d', {}); await raw.del(`bull:q1:${j.id}:lock`);
  await c.step('stalled beside waiting ones', { op: 'stalledCheck' }, () => again());
  await q.drain();
  await q.add('p', {}, { priority: 5 }); await q.add('r', {}, { priority: 5 }); await q.add('s', {}, { priority: 5 });
  j = await take(w, 't3');
  await c.step('given back beside others of its priority', { op: 'moveToWait' }, async () => j.moveToWait('t3'));
  j = await take(w, 't4'); await again(); await raw.del(`bull:q1:${j.id}:lock`);
  await c.step('stalled beside others of its priority', { op: 'stalledCheck' }, () => again());
  await q.drain();
  await f.add({ name: 'p', queueName: 'q1', opts: { jobId: 'P' }, children: [{ name: 'c', queueName: 'q2', opts: { jobId: 'C1' } }] });
  await q.add('x', {}); await q.add('y', {}); j = await take(w2, 'u1');
  await c.step('parent released beside waiting ones', { op: 'complete' }, async () => (await j.moveToCompleted(1, 'u1', false)) ?? null);
  await f.add({ name: 'p', queueName: 'q1', opts: { jobId: 'P2', priority: 5 }, children: [{ name: 'c', queueName: 'q2', opts: { jobId: 'C2' } }] });
  await q.add('z', {}, { priority: 5 }); j = await take(w2, 'u2');
  await c.step('parent released beside others of its priority', { op: 'complete' }, async () => (await j.moveToCompleted(1, 'u2', false)) ?? null);
  await q.drain();
  await q.add('l', {}, { lifo: true, attempts: 2 }); j = await take(w, 't5'); await q.add('m', {});
  await c.step('failed, again at once, last in first out', { op: 'fail' }, async () => (await j.moveToFailed(new Error('x'), 't5', false)) ?? null);
  await q.drain();
  await q.add('l', {}, { lifo: true, delay: 1000 }); await q.add('n', {});
  tick(1000);
  await c.step('due, last in first out: behind the others', { op: 'take' }, async () => { j = await take(w, 't6'); return j; });
  await c.step('another priority: none, in front', { op: 'changePriority' }, async () => { await q.add('o', {}, { priority: 2 }); await q.add('o', {}); await (await q.getWaiting(0, 0))[0].changePriority({ priority: 0, lifo: true }); return null; });
});

const wanted = process.argv.slice(2);
for (const [name, run] of Object.entries(scenarios)) {
  if (wanted.length && !wanted.some(x => name.startsWith(x))) continue;
  try { await run(); } catch (e) { console.error('FAILED', name, e); process.exitCode = 1; }
}
await raw.quit();
process.exit(process.exitCode ?? 0);
