// Bull 4 at the command of a Python test: the protocol of `driver.mjs`, with the verbs that Bull has.
import readline from 'node:readline';
import { createRequire } from 'node:module';

const { places, db, prefix } = JSON.parse(process.argv[2]);
const require = createRequire(import.meta.url);
const Bull = require('bull4');

const say = what => process.stdout.write(JSON.stringify(what) + '\n');
const open = name => {
  const one = new Bull(name, { redis: { ...places[0], db }, prefix });
  one.on('error', () => {}); // told by whoever uses it
  return one;
};
const queues = new Map();
const queue = name => {
  if (!queues.has(name)) queues.set(name, open(name));
  return queues.get(name);
};
const handles = new Map(); // workers: queues that process, by the name that Python gave
const waiting = []; // processors that wait for `release`

const VIEW = ['id', 'name', 'data', 'opts', 'attemptsMade', 'failedReason', 'stacktrace', 'returnvalue',
  'timestamp', 'processedOn', 'finishedOn', 'delay'];
const isJob = value => value && typeof value.moveToFailed === 'function';
const plain = value => {
  if (isJob(value)) {
    return Object.fromEntries(VIEW.filter(name => value[name] !== undefined).map(name => [name, value[name]]));
  }
  if (value instanceof Error) return { name: value.name, message: value.message };
  if (Array.isArray(value)) return value.map(plain);
  return value === undefined || value instanceof Bull ? null : value;
};
const found = async (name, id) => {
  const job = await queue(name).getJob(id);
  if (!job) throw new Error(`queue ${name} has no job ${id}`);
  return job;
};
const process_ = behaviour => async job => {
  if (behaviour.sleepMs) await new Promise(done => setTimeout(done, behaviour.sleepMs));
  if (behaviour.waits) await new Promise(done => waiting.push(done));
  const first = job.attemptsMade < (behaviour.failures ?? Infinity)
    && (behaviour.every === undefined || job.data.n % behaviour.every === 0);
  if (behaviour.throws !== undefined && first) throw new Error(behaviour.throws);
  return behaviour.echo ? job.data : behaviour.returns;
};

const verbs = {
  version: async () => require('bull4/package.json').version,
  // Any method of a queue or of a job.
  queue: ({ queue: name, method, args }) => queue(name)[method](...args),
  job: async ({ queue: name, job, method, args }) => (await found(name, job))[method](...args),
  handle: ({ handle, method, args }) => handles.get(handle)[method](...args),
  addBuffer: ({ queue: name, field, text, options }) =>
    queue(name).add({ [field]: Buffer.from(text), nothing: undefined }, options),
  get: async ({ queue: name, job }) => (await queue(name).getJob(job)) ?? null,
  worker: async ({ handle, queue: name, behaviour, options }) => {
    const { concurrency = 1, name: jobName = '__default__', ...settings } = options;
    const worker = new Bull(name, { redis: { ...places[0], db }, prefix, settings });
    for (const event of ['active', 'completed', 'failed', 'stalled', 'error']) {
      worker.on(event, (...args) => say({ handle, event, args: args.map(plain), at: Date.now() }));
    }
    handles.set(handle, worker);
    worker.process(jobName, concurrency, process_(behaviour)).catch(() => {});
    await worker.isReady();
  },
  release: () => { const many = waiting.length; waiting.splice(0).forEach(go => go()); return many; },
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
  await Promise.allSettled([...handles.values()].map(one => one.close(true)));
  await Promise.allSettled([...queues.values()].map(one => one.close(true)));
  process.exit(0);
});
process.on('unhandledRejection', error => {
  say({ handle: null, event: 'error', args: [plain(error)], at: Date.now() });
});
say({ handle: null, event: 'ready', args: [], at: Date.now() });
