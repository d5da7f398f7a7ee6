// Processing a backlog of no-op jobs, and how the memory of a worker behaves meanwhile.
const { performance } = require('node:perf_hooks');
const { another } = require('./another.cjs');
const { Workers, add, open } = require('./stage.cjs');

const MIB = 1024 * 1024;

// Jobs per second, from the start of a worker to when it knows that the last was completed. A first
// worker warms the process up, and is gone before the backlog is added.
const backlog = (order, url) => {
  const queue = open(url);
  return timed(order, (jobs) => add(queue, jobs), () => new Workers(url, order.concurrency));
};

const timed = async (order, fill, newWorkers) => {
  let elapsedMs = 0;
  for (const jobs of [order.warm_up, order.jobs]) {
    await fill(jobs);
    const workers = newWorkers();
    await workers.ready();
    const begin = performance.now();
    workers.start();
    await workers.completed(jobs);
    elapsedMs = performance.now() - begin;
    await workers.close();
  }
  return { per_s: order.jobs / (elapsedMs / 1000) };
};

// Resident memory of a worker's process, at shares of a long backlog from another process.
const memory = async (order, url) => {
  await another({ ...order, work: 'adding.fill' }, url);
  const workers = new Workers(url, order.concurrency);
  await workers.ready();
  workers.start();
  const found = {};
  for (const percent of [10, 50, 100]) {
    await workers.completed(Math.floor(order.jobs * percent / 100));
    found[`at_${percent}_mib`] = process.memoryUsage.rss() / MIB;
  }
  return found;
};

module.exports = { backlog, memory, timed };
