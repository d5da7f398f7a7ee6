-- read_new_job: a new job from its name, data, options and decoded placing (`requests.py`, _Placing).
local function read_new_job(name, data, opts, placing)
  return {
    name = name, data = data, opts = opts, queue = placing.queue, id = placing.id,
    delay_ms = placing.delay_ms or 0, priority = placing.priority or 0, lifo = placing.lifo,
    timestamp_ms = placing.timestamp_ms, run_at_ms = placing.run_at_ms,
    deduplication = placing.deduplication,
  }
end
