// A worker script as people write one: says when its first job is done.
const { Worker } = require('bullmq');

const { hostname: host, port } = new URL(process.argv[2]);
const worker = new Worker('bench', async () => {}, { connection: { host, port: Number(port) } });
worker.on('completed', () => process.stdout.write('done\n'));
