// What jobs that wait take in a Redis server.
const { fill } = require('./adding.cjs');
const { Workers, add, connect, open } = require('./stage.cjs');

const DELAY_MS = 86_400_000;

// What the data take, without what the server holds for its connections.
const usedBytes = async connection => {
  const said = await connection.info('memory');
  const field = name => Number(said.match(new RegExp(`^${name}:(\\d+)`, 'm'))[1]);
  return field('used_memory') - field('mem_clients_normal');
};

// Bytes per waiting job, those of the warm-up not counted, as for Toril.
const backlog = async (order, url) => {
  const connection = connect(url);
  await fill({ ...order, jobs: order.warm_up }, url);
  const before = await usedBytes(connection);
  await fill(order, url);
  return { bytes_per_job: (await usedBytes(connection) - before) / order.jobs };
};

// Bytes per job of a state, as for Toril: completed ones are all kept, which is the default.
const weighed = async (order, url) => {
  const connection = connect(url);
  await layDown(order, url, order.warm_up);
  const before = await usedBytes(connection);
  await layDown(order, url, order.jobs);
  return { bytes_per_job: (await usedBytes(connection) - before) / order.jobs };
};

const layDown = async (order, url, count) => {
  const options = { delayed: { delay: DELAY_MS }, completed: { removeOnComplete: undefined } };
  const queue = open(url, options[order.case.state]);
  await add(queue, count);
  await queue.close();
  if (order.case.state === 'completed') {
    const workers = new Workers(url, order.concurrency);
    await workers.ready();
    workers.start();
    await workers.completed(count);
    await workers.close();
  }
};

module.exports = { backlog, weighed };
