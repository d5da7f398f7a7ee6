// BullMQ on Node: one measurement, in a process of its own.
//
//   node main.cjs ORDER WHERE
//
// ORDER is JSON, with the fields of `benchmarks/order.py`; WHERE is the URL of a server. The last
// line printed is the answer, as JSON: values by name, or the samples of a latency. NODE_PATH says
// where the packages are.
const order = JSON.parse(process.argv[2]);
const [file, name] = order.work.split('.');

// A measurement that lost a connection or a job is none.
process.on('unhandledRejection', error => { throw error; });

require(`./${file}.cjs`)[name](order, process.argv[3]).then(found => {
  process.stdout.write(`${JSON.stringify(found)}\n`, () => process.exit(0));
});
