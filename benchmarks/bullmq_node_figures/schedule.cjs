// A thread that tells each moment of a schedule when it has come, whatever became of those before:
// `benchmarks/pace.py` on Node. `CLOCK_MONOTONIC`, nanoseconds, which other processes share.
const { parentPort, workerData } = require('node:worker_threads');

const LEAD_NS = 20_000_000n; // before the first moment
const stepNs = 1_000_000_000n / BigInt(workerData.perS);
const never = new Int32Array(new SharedArrayBuffer(4)); // nobody changes it: a wait is a sleep

const firstNs = process.hrtime.bigint() + LEAD_NS;
for (let index = 0; index < workerData.count; index++) {
  const dueNs = firstNs + BigInt(index) * stepNs;
  const leftMs = Number(dueNs - process.hrtime.bigint()) / 1e6;
  if (leftMs > 0) Atomics.wait(never, 0, 0, leftMs);
  parentPort.postMessage(Number(dueNs));
}
