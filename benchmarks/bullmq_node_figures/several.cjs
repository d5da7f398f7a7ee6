// One worker process against two, on the same backlog. The measuring process only looks on.
const { spawn } = require('node:child_process');
const { once } = require('node:events');
const { performance } = require('node:perf_hooks');
const { setTimeout: sleep } = require('node:timers/promises');
const { Workers, add, open } = require('./stage.cjs');

const POLL_MS = 20; // as for Toril
const READY = 'ready';

const workers = async (order, url) => {
  const one = await rate(order, url, 1);
  const two = await rate(order, url, 2);
  return { one_per_s: one, two_per_s: two, ratio: two / one };
};

// Be one of the workers, until killed.
const serve = async (order, url) => {
  const own = new Workers(url, order.concurrency);
  await own.ready();
  own.start();
  process.stdout.write(`${READY}\n`);
  return new Promise(() => {});
};

const rate = async (order, url, processes) => {
  const queue = open(url);
  const serving = JSON.stringify({ ...order, work: 'several.serve' });
  const children = Array.from({ length: processes }, () =>
    spawn(process.execPath, [`${__dirname}/main.cjs`, serving, url], { stdio: ['ignore', 'pipe', 'inherit'] }));
  try {
    await Promise.all(children.map(child => once(child.stdout, 'data')));
    await add(queue, order.warm_up);
    await done(queue);
    await queue.pause();
    await add(queue, order.jobs);
    const begin = performance.now();
    await queue.resume();
    await done(queue);
    return order.jobs / ((performance.now() - begin) / 1000);
  } finally {
    for (const child of children) child.kill();
    await queue.close();
  }
};

// Once there is nothing in line and nothing runs.
const done = async queue => {
  for (;;) {
    const { waiting, active, failed } = await queue.getJobCounts('waiting', 'active', 'failed');
    if (failed) throw new Error(`${failed} jobs failed`);
    if (waiting + active === 0) return;
    await sleep(POLL_MS);
  }
};

module.exports = { workers, serve };
