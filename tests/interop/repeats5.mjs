// BullMQ 5 by one command: adds a repeated job as its `repeat` option did, or works a queue.
//
// node repeats5.mjs '{"port", "prefix", "queue", "add": {name, data, opts}}'   prints the job's id
// node repeats5.mjs '{"port", "prefix", "queue", "work": many}'   works so many jobs, prints their data
import { createRequire } from 'node:module';

const { port, prefix, queue: name, add, work } = JSON.parse(process.argv[2]);
const { Queue, Worker } = createRequire(import.meta.url)('bullmq5');
const connection = { host: '127.0.0.1', port, maxRetriesPerRequest: null };

if (add) {
  const queue = new Queue(name, { connection, prefix });
  const job = await queue.add(add.name, add.data, add.opts);
  console.log(JSON.stringify(job.id));
  await queue.close();
} else {
  const done = [];
  let end;
  const all = new Promise(resolve => { end = resolve; });
  const worker = new Worker(name, async job => {
    done.push(job.data);
    if (done.length >= work) end();
  }, { connection, prefix });
  await all;
  await worker.close();
  console.log(JSON.stringify(done));
}
process.exit(0);
