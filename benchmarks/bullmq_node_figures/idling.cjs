// What workers cost that have nothing to do: one for each queue.
const { performance } = require('node:perf_hooks');
const { setTimeout: sleep } = require('node:timers/promises');
const { counted } = require('./another.cjs');
const { QUEUE, Workers, add, open } = require('./stage.cjs');

const SETTLE_S = 2; // as for Toril

// CPU seconds per minute of the process some time after its last job, and Redis' commands.
const worker = async (order, url) => {
  const queues = Array.from({ length: order.queues }, (_, n) => (n ? `${QUEUE}-${n}` : QUEUE));
  const workers = new Workers(url, order.concurrency, { queues });
  await workers.ready();
  workers.start();
  const queue = open(url);
  await add(queue, order.warm_up);
  await queue.close();
  await workers.completed(order.warm_up);
  await sleep(1000 * Math.min(SETTLE_S, order.duration_s));
  const counting = counted(url, order.duration_s);
  const begin = performance.now();
  const beginCpu = process.cpuUsage();
  await sleep(1000 * order.duration_s);
  const { user, system } = process.cpuUsage(beginCpu);
  const elapsedS = (performance.now() - begin) / 1000;
  return { cpu_s_per_min: 60 * (user + system) / 1e6 / elapsedS, ...(await counting) };
};

module.exports = { worker };
