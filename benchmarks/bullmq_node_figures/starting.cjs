// From nothing to something: processes started from outside, as people start them.
const { execFileSync, spawn } = require('node:child_process');
const { once } = require('node:events');
const { performance } = require('node:perf_hooks');
const { add, open } = require('./stage.cjs');

const MOST = 7; // starts of each kind, of which the first is not counted, as for Toril

const cold = async (order, url) => {
  const starts = Math.min(MOST, Math.max(2, order.jobs));
  const queue = open(url);
  const firsts = [];
  for (let i = 0; i < starts; i++) {
    await add(queue, 1);
    firsts.push(await firstJobMs(url));
  }
  const times = run => median(Array.from({ length: starts }, run));
  return { bare_ms: times(bareMs), import_ms: times(importMs), first_ms: median(firsts) };
};

const bareMs = () => {
  const begin = performance.now();
  execFileSync(process.execPath, ['-e', '']);
  return performance.now() - begin;
};

const importMs = () => {
  const program = 'const b = performance.now(); require("bullmq"); console.log(performance.now() - b)';
  return Number(execFileSync(process.execPath, ['-e', program]));
};

const firstJobMs = async url => {
  const begin = performance.now();
  const child = spawn(process.execPath, [`${__dirname}/first_job.cjs`, url], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(child.stdout, 'data');
  const tookMs = performance.now() - begin;
  child.kill();
  await once(child, 'exit');
  return tookMs;
};

const median = values => {
  const ordered = values.slice(1).sort((a, b) => a - b);
  const middle = Math.floor(ordered.length / 2);
  return ordered.length % 2 ? ordered[middle] : (ordered[middle - 1] + ordered[middle]) / 2;
};

module.exports = { cold };
