// BullMQ at the command of a Python test: one JSON object a line, in and out.
//
// In:  {id, op, ...}      what to do; see `verbs`
// Out: {id, result}       it was done
//      {id, error}        it was refused: {name, message, code}
//      {handle, event, args, at}   a worker or an event reader that was asked for tells something
//
// Ends when its input ends, so that it never outlives the test that started it.
import readline from 'node:readline';
import { createRequire } from 'node:module';

// Arguments: the package, if it is not `bullmq`; where the store is (JSON).
const { places, cluster, db, prefix } = JSON.parse(process.argv.at(-1));
const packageName = process.argv.length > 3 ? process.argv[2] : 'bullmq';
const require = createRequire(import.meta.url); // loads them in half the time that `import` takes
const bullmq = require(packageName);
// An older one brings an ioredis of its own.
const { Redis: IORedis, Cluster } = createRequire(require.resolve(packageName))('ioredis');
const { Job, Queue, QueueEvents, FlowProducer, Worker } = bullmq;

const say = what => process.stdout.write(JSON.stringify(what) + '\n');
const connections = [];
const connect = () => {
  const one = cluster
    ? new Cluster(places, { redisOptions: { maxRetriesPerRequest: null } })
    : new IORedis({ ...places[0], db, maxRetriesPerRequest: null });
  one.on('error', () => {}); // told by whoever uses it
  connections.push(one);
  return one;
};
const shared = connect();

// BullMQ's own telemetry, by OpenTelemetry, once a test asks for it.
let telemetry;
let exporter;
const traced = () => (telemetry ? { telemetry } : {});

// ---- what there is --------------------------------------------------------------------------
const queues = new Map();
const queue = name => {
  if (!queues.has(name)) {
    const one = new Queue(name, { connection: shared, prefix, ...traced() });
    one.on('error', () => {});
    queues.set(name, one);
  }
  return queues.get(name);
};
let flows;
const flow = () => (flows ??= new FlowProducer({ connection: shared, prefix, ...traced() }));
const handles = new Map(); // workers, event readers and boards, by the name that Python gave
const held = new Map(); // jobs that were taken by hand, by id
const waiting = []; // processors that wait for `release`

// ---- from JavaScript to JSON ----------------------------------------------------------------
const VIEW = ['id', 'name', 'queueName', 'data', 'opts', 'progress', 'attemptsMade', 'attemptsStarted',
  'stalledCounter', 'failedReason', 'deferredFailure', 'stacktrace', 'returnvalue', 'timestamp',
  'processedOn', 'finishedOn', 'delay', 'priority', 'processedBy', 'parentKey', 'repeatJobKey'];
const plain = value => {
  if (value instanceof Job) {
    return Object.fromEntries(VIEW.filter(name => value[name] !== undefined).map(name => [name, value[name]]));
  }
  if (value instanceof Error) return { name: value.name, message: value.message, code: value.code };
  if (Array.isArray(value)) return value.map(plain);
  if (value && value.job instanceof Job) {
    return { job: plain(value.job), children: plain(value.children ?? []) };
  }
  return value === undefined ? null : value;
};
const found = async (name, id) => {
  const job = await queue(name).getJob(id);
  if (!job) throw new Error(`queue ${name} has no job ${id}`);
  return job;
};

// ---- what a processor does: everything that is asked for, in this order ---------------------
const process_ = behaviour => async (job, token) => {
  for (const line of behaviour.logs ?? []) await job.log(line);
  for (const value of behaviour.progress ?? []) await job.updateProgress(value);
  if (behaviour.sleepMs) await new Promise(done => setTimeout(done, behaviour.sleepMs));
  if (behaviour.waits) await new Promise(done => waiting.push(done));
  const first = job.attemptsMade < (behaviour.failures ?? Infinity)
    && (behaviour.every === undefined || job.data.n % behaviour.every === 0);
  if (behaviour.snoozeMs && job.attemptsStarted === 1) {
    await job.moveToDelayed(Date.now() + behaviour.snoozeMs, token);
    throw new bullmq.DelayedError();
  }
  if (behaviour.rateLimitMs && job.attemptsStarted === 1) {
    await queue(job.queueName).rateLimit(behaviour.rateLimitMs);
    throw Worker.RateLimitError();
  }
  if (behaviour.throws !== undefined && first) throw new Error(behaviour.throws);
  if (behaviour.unrecoverable !== undefined) throw new bullmq.UnrecoverableError(behaviour.unrecoverable);
  if (behaviour.childrenValues) return job.getChildrenValues();
  return behaviour.echo ? job.data : behaviour.returns;
};

const tellAll = (handle, emitter, names) => {
  for (const event of names) {
    emitter.on(event, (...args) => say({ handle, event, args: args.map(plain), at: Date.now() }));
  }
};
const EVENTS = ['added', 'waiting', 'active', 'progress', 'completed', 'failed', 'delayed', 'stalled',
  'removed', 'drained', 'paused', 'resumed', 'duplicated', 'deduplicated', 'waiting-children',
  'retries-exhausted', 'cleaned', 'error'];
const OF_WORKERS = ['active', 'progress', 'completed', 'failed', 'stalled', 'drained', 'error',
  'lockRenewalFailed', 'closed'];

// ---- the verbs ------------------------------------------------------------------------------
const verbs = {
  version: async () => require(`${packageName}/package.json`).version,
  // Any method of a queue, of a job, of a worker or event reader.
  queue: ({ queue: name, method, args }) => queue(name)[method](...args),
  job: async ({ queue: name, job, method, args }) => (await found(name, job))[method](...args),
  handle: ({ handle, method, args }) => handles.get(handle)[method](...args),

  // What JSON from Python cannot say: a Buffer, and a member that is undefined.
  addBuffer: ({ queue: name, job, field, text, options }) =>
    queue(name).add(job, { [field]: Buffer.from(text), nothing: undefined }, options),

  get: async ({ queue: name, job }) => (await queue(name).getJob(job)) ?? null,
  flow: ({ tree }) => flow().add(tree),
  tree: ({ queue: queueName, job: id }) => flow().getFlow({ id, queueName, prefix }),
  result: async ({ queue: name, job, events, timeoutMs }) =>
    (await found(name, job)).waitUntilFinished(handles.get(events), timeoutMs),

  worker: async ({ handle, queue: name, behaviour, options }) => {
    const worker = new Worker(name, process_(behaviour), { connection: connect(), prefix, ...traced(), ...options });
    tellAll(handle, worker, OF_WORKERS);
    handles.set(handle, worker);
    await worker.waitUntilReady();
  },
  events: async ({ handle, queue: name, options }) => {
    // From what is there now: "from now on" would begin with its first read, whenever that is.
    const [newest] = await shared.xrevrange(queue(name).toKey('events'), '+', '-', 'COUNT', 1);
    const lastEventId = newest ? newest[0] : '0';
    const events = new QueueEvents(name, { connection: connect(), prefix, lastEventId, ...options });
    tellAll(handle, events, EVENTS);
    handles.set(handle, events);
    await events.waitUntilReady();
  },
  // Lets processors go on that wait.
  release: () => { const many = waiting.length; waiting.splice(0).forEach(go => go()); return many; },

  // A worker by hand: takes one job and does nothing with it.
  take: async ({ handle, queue: name, token, options }) => {
    if (!handles.has(handle)) {
      const worker = new Worker(name, null, { connection: connect(), prefix, autorun: false, ...options });
      worker.on('error', () => {});
      handles.set(handle, worker);
      await worker.waitUntilReady();
    }
    const job = await handles.get(handle).getNextJob(token, { block: false });
    if (job) held.set(job.id, job);
    return job ?? null;
  },
  complete: async ({ job, token, value }) => {
    await held.get(job).moveToCompleted(value, token, false);
    held.delete(job);
  },
  fail: async ({ job, token, message }) => {
    await held.get(job).moveToFailed(new Error(message), token, false);
    held.delete(job);
  },
  extendLock: ({ job, token, ms }) => held.get(job).extendLock(token, ms),

  // From now on queues, flows and workers that are made trace.
  trace: () => {
    const otel = require('@opentelemetry/sdk-trace-node');
    exporter = new otel.InMemorySpanExporter();
    new otel.NodeTracerProvider({ spanProcessors: [new otel.SimpleSpanProcessor(exporter)] }).register();
    telemetry = new (require('bullmq-otel').BullMQOtel)('node');
  },
  spans: () => exporter.getFinishedSpans().map(span => ({
    name: span.name,
    traceId: span.spanContext().traceId,
    spanId: span.spanContext().spanId,
    parentId: span.parentSpanContext?.spanId ?? '',
  })),

  // Bull Board on a port of this machine.
  board: async ({ handle, queues: names }) => {
    const { createBullBoard } = require('@bull-board/api');
    const { BullMQAdapter } = require('@bull-board/api/bullMQAdapter');
    const { ExpressAdapter } = require('@bull-board/express');
    const express = require('express');
    const serverAdapter = new ExpressAdapter();
    createBullBoard({ queues: names.map(name => new BullMQAdapter(queue(name))), serverAdapter });
    const app = express();
    app.use('/', serverAdapter.getRouter());
    const server = await new Promise(ready => {
      const one = app.listen(0, '127.0.0.1', () => ready(one));
    });
    handles.set(handle, { close: () => new Promise(done => { server.close(done); server.closeAllConnections(); }) });
    return server.address().port;
  },
};

const answer = async line => {
  const { id, op, ...asked } = JSON.parse(line);
  try {
    if (!verbs[op]) throw new Error(`the driver has no verb ${op}`);
    say({ id, result: plain(await verbs[op](asked)) });
  } catch (error) {
    say({ id, error: plain(error instanceof Error ? error : new Error(String(error))) });
  }
};

const input = readline.createInterface({ input: process.stdin });
input.on('line', line => { void answer(line); });
input.on('close', async () => {
  setTimeout(() => process.exit(1), 5000).unref(); // a connection that does not end
  const closing = [...handles.values()].map(one => one.close(true));
  await Promise.allSettled(closing);
  await Promise.allSettled([...queues.values()].map(one => one.close()));
  if (flows) await Promise.allSettled([flows.close()]);
  for (const one of connections) one.disconnect();
  process.exit(0);
});
process.on('unhandledRejection', error => {
  say({ handle: null, event: 'error', args: [plain(error)], at: Date.now() });
});
say({ handle: null, event: 'ready', args: [], at: Date.now() });
