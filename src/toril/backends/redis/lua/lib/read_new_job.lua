-- read_new_job: a new job from four arguments, as `requests.py` writes them.
--
-- `placing` is empty for a job that goes to the end of the line, else a JSON array.
local function read_new_job(name, data, opts, placing)
  local job = { name = name, data = data, opts = opts, delay_ms = 0, priority = 0, queue = 1 }
  if placing ~= '' then
    local place = cjson.decode(placing)
    job.queue, job.id, job.delay_ms, job.priority = place[1], place[2], place[3], place[4]
    job.lifo, job.timestamp_ms, job.run_at_ms = place[5], place[6], place[7]
    local rule = place[8]
    if rule then
      job.deduplication = { id = rule[1], ttl_ms = rule[2] or nil, extend = rule[3],
        replace = rule[4], reschedule = rule[5], keep_last = rule[6] }
    end
  end
  return job
end
