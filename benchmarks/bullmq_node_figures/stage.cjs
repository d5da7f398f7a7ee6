// What the measurements stand on: a queue, and workers whose completed jobs are counted.
const { Queue, Worker } = require('bullmq');
const { Redis } = require('ioredis');

const QUEUE = 'bench';
const CHUNK = 1000; // jobs of one `addBulk`
// What is kept of completed jobs: as much as Toril keeps. The default is all of them.
const KEEP = { removeOnComplete: { count: 10000 } };

const connect = url => new Redis(url, { maxRetriesPerRequest: null }); // as workers demand

// Its connection is its own, so that it ends with it.
const open = (url, options = {}) => {
  const { hostname: host, port } = new URL(url);
  const defaultJobOptions = { ...KEEP, ...options };
  return new Queue(QUEUE, { connection: { host, port: Number(port) }, defaultJobOptions });
};

// Jobs that are all the same.
const addAll = async (queue, data, count) => {
  for (let start = 0; start < count; start += CHUNK) {
    const many = Math.min(CHUNK, count - start);
    await queue.addBulk(Array.from({ length: many }, () => ({ name: 'same', data })));
  }
};

const add = async (queue, count) => {
  for (let start = 0; start < count; start += CHUNK) {
    const many = Math.min(CHUNK, count - start);
    await queue.addBulk(Array.from({ length: many }, (_, k) => ({ name: 'noop', data: { i: start + k } })));
  }
};

const noop = async () => {};

// The workers of this process: one for each queue, since each serves one. They share what they send
// on, as BullMQ advises; what each waits on is its own.
class Workers {
  constructor(url, concurrency, { processor = noop, queues = [QUEUE], ...more } = {}) {
    this.count = 0;
    this.awaited = null;
    this.connection = connect(url);
    this.workers = queues.map(name => {
      const options = { connection: this.connection, concurrency, autorun: false, ...more };
      const worker = new Worker(name, processor, options);
      worker.on('completed', () => {
        if (++this.count === this.awaited?.count) this.awaited.reached();
      });
      worker.on('failed', (_, error) => { throw error; });
      worker.on('error', error => { throw error; });
      return worker;
    });
  }

  ready() {
    return Promise.all(this.workers.map(worker => worker.waitUntilReady()));
  }

  start() {
    for (const worker of this.workers) worker.run();
  }

  // Once so many jobs were completed in all.
  completed(count) {
    if (this.count >= count) return Promise.resolve();
    return new Promise(reached => { this.awaited = { count, reached }; });
  }

  async close() {
    await Promise.all(this.workers.map(worker => worker.close()));
    await this.connection.quit();
  }
}

module.exports = { QUEUE, Workers, add, addAll, connect, open };
