-- add_follow_ups: add the jobs that a successful attempt asked for.
--
-- They are looked at before anything of the success is written: one whose jobs cannot be added is
-- none.
local function check(queue)
  for _, name in ipairs({ 'id', 'wait', 'prioritized', 'delayed' }) do
    local problem = damage_of(queue.base, name)
    if problem then error("a job cannot be added: '" .. queue.base .. name .. "' " .. problem, 0) end
  end
  queue.can_be_added_to = true
end

local function follow_ups_of(round, more)
  local jobs = {}
  for index, new in ipairs(more.follow_ups) do
    local job = read_new_job(new.name, new.data, new.opts, new.placing)
    local queue = round.queues(job.queue)
    if not queue.can_be_added_to then check(queue) end
    jobs[index] = job
  end
  return jobs
end

local function add_follow_ups(round, jobs)
  for _, job in ipairs(jobs) do
    local queue = round.queues(job.queue)
    note_problem(queue, add_new, queue, job)
  end
end
