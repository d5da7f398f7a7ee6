// Processing a backlog of jobs that do, carry or leave something: `benchmarks/cases.py` has them.
const { performance } = require('node:perf_hooks');
const { setTimeout: sleep } = require('node:timers/promises');
const { timed } = require('./processing.cjs');
const { Workers, addAll, open } = require('./stage.cjs');

const NEVER_REACHED = 1_000_000; // jobs at once, and starts in a second

const processorOf = one => {
  if (one.cpu_ms) return `${__dirname}/compute.cjs`; // a sandboxed one: BullMQ's child processes
  if (one.wait_ms) return () => sleep(one.wait_ms);
  if (one.returns) return async job => ({ i: job.data.i });
  if (one.logs) return job => job.log('one line, as a task writes them').then(() => {});
  if (one.progresses) return job => job.updateProgress(50);
  return async () => {};
};

const dataOf = one => {
  if (one.payload_bytes) return { load: 'x'.repeat(one.payload_bytes) };
  return one.cpu_ms ? { ms: one.cpu_ms } : { i: 1 };
};

const workersFor = (order, url) => new Workers(url, order.concurrency, {
  processor: processorOf(order.case),
  ...(order.case.limited && { limiter: { max: NEVER_REACHED, duration: 1000 } }),
});

// Jobs per second, as with those that do nothing. Jobs of a first worker are the warm-up.
const backlog = async (order, url) => {
  if (order.case.cpu_ms) return inChildren(order, url);
  const queue = open(url, order.case.kept ? {} : { removeOnComplete: true });
  if (order.case.limited) await queue.setGlobalConcurrency(NEVER_REACHED);
  const data = dataOf(order.case);
  return timed(order, (jobs) => addAll(queue, data, jobs), () => workersFor(order, url));
};

// The same where a new worker would have to start its child processes: as for Toril, the worker is at
// work before, and its queue is paused while the backlog is added.
const inChildren = async (order, url) => {
  const queue = open(url);
  const data = dataOf(order.case);
  const workers = workersFor(order, url);
  await workers.ready();
  workers.start();
  await addAll(queue, data, order.warm_up);
  await workers.completed(order.warm_up);
  await queue.pause();
  await addAll(queue, data, order.jobs);
  const begin = performance.now();
  await queue.resume();
  await workers.completed(order.warm_up + order.jobs);
  const elapsedMs = performance.now() - begin;
  await workers.close();
  return { per_s: order.jobs / (elapsedMs / 1000) };
};

// Adds per second of many producers in this process, then jobs per second of a worker.
const carried = async (order, url) => {
  const queue = open(url);
  const data = dataOf(order.case);
  await addAll(queue, data, order.warm_up);
  const first = workersFor(order, url);
  await first.ready();
  first.start();
  await first.completed(order.warm_up);
  await first.close();

  const each = Math.max(1, Math.floor(order.jobs / order.producers));
  const producer = async () => {
    for (let i = 0; i < each; i++) await queue.add('carry', data);
  };
  let begin = performance.now();
  await Promise.all(Array.from({ length: order.producers }, producer));
  const added = each * order.producers;
  const addPerS = added / ((performance.now() - begin) / 1000);

  const workers = workersFor(order, url);
  await workers.ready();
  begin = performance.now();
  workers.start();
  await workers.completed(added);
  return { add_per_s: addPerS, per_s: added / ((performance.now() - begin) / 1000) };
};

module.exports = { backlog, carried };
