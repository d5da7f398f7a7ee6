// A sandboxed processor: computes for so many milliseconds of its process' CPU.
module.exports = async job => {
  const begin = process.cpuUsage();
  for (;;) {
    const { user, system } = process.cpuUsage(begin);
    if (user + system >= job.data.ms * 1000) return;
  }
};
