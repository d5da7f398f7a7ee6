// What jobs that wait take in a Redis server.
const { fill } = require('./adding.cjs');
const { connect } = require('./stage.cjs');

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

module.exports = { backlog };
