// From the moment a job is due to be added to the first line of its processor.
const { Worker: Thread } = require('node:worker_threads');
const { another } = require('./another.cjs');
const { Workers, open } = require('./stage.cjs');

// What this process saw: when a job was due, and how much later it was here, in nanoseconds. A
// number holds them exactly for 104 days after the machine's start, and to 2 ns afterwards.
const samples = [];
const pickUp = async job => {
  const late = Number(process.hrtime.bigint()) - job.data.due_ns;
  samples.push([job.data.due_ns, late]);
};

const received = async (order, url, send) => {
  const workers = new Workers(url, order.concurrency, { processor: pickUp });
  await workers.ready();
  workers.start();
  await send();
  await workers.completed(order.warm_up + order.jobs);
  return samples;
};

// Producer and worker on one event loop.
const one_process = (order, url) => received(order, url, () => produce(order, url));

// The worker here, the producer in another process.
const two_processes = (order, url) =>
  received(order, url, () => another({ ...order, work: 'pickup.produce' }, url));

// Adds jobs on schedule, without a wait for the ones before. A thread keeps the time, as in
// `benchmarks/pace.py`; to the loop each job comes like a request from a socket.
const produce = async (order, url) => {
  const queue = open(url);
  await queue.waitUntilReady();
  const count = order.warm_up + order.jobs;
  const adding = [];
  await new Promise((ended, failed) => {
    const thread = new Thread(`${__dirname}/schedule.cjs`, { workerData: { perS: order.per_s, count } });
    thread.on('message', dueNs => { adding.push(queue.add('pick-up', { due_ns: dueNs })); });
    thread.on('error', failed);
    thread.on('exit', ended);
  });
  await Promise.all(adding);
  return { jobs: count };
};

module.exports = { one_process, two_processes, produce };
