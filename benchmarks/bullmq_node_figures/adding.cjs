// Adding jobs: one by one, by many at the same time, and in bulk. No worker runs.
const { performance } = require('node:perf_hooks');
const { add, open } = require('./stage.cjs');

const perS = (jobs, beginMs) => ({ per_s: jobs / ((performance.now() - beginMs) / 1000) });

const produce = async (queue, count, producers) => {
  const each = Math.max(1, Math.floor(count / producers));
  const producer = async () => {
    for (let i = 0; i < each; i++) await queue.add('noop', { i });
  };
  await Promise.all(Array.from({ length: producers }, producer));
  return each * producers;
};

// One producer that awaits each job, or many of them.
const adding = async (order, url) => {
  const queue = open(url);
  await produce(queue, order.warm_up, order.producers);
  const begin = performance.now();
  const added = await produce(queue, order.jobs, order.producers);
  return perS(added, begin);
};

const bulk = async (order, url) => {
  const queue = open(url);
  await add(queue, order.warm_up);
  const begin = performance.now();
  await add(queue, order.jobs);
  return perS(order.jobs, begin);
};

// A backlog, for a measurement in another process.
const fill = async (order, url) => {
  const queue = open(url);
  await add(queue, order.jobs);
  await queue.close();
  return { jobs: order.jobs };
};

module.exports = { alone: adding, concurrent: adding, bulk, fill };
