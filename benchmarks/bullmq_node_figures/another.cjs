// A measurement's other process: the producer, who shares nothing with it but the server.
const { execFile } = require('node:child_process');
const { promisify } = require('node:util');

// What that answers.
const another = async (order, url) => {
  const command = [`${__dirname}/main.cjs`, JSON.stringify(order), url];
  const { stdout } = await promisify(execFile)(process.execPath, command);
  return JSON.parse(stdout);
};

// How many commands a server runs in some seconds: counted by the program that counts for all.
const counted = async (url, seconds) => {
  const command = ['-m', 'benchmarks.commands', url, String(seconds)];
  const { stdout } = await promisify(execFile)(process.env.BENCH_PYTHON, command);
  return JSON.parse(stdout);
};

module.exports = { another, counted };
