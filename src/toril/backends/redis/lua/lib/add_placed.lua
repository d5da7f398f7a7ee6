-- add_placed: add a job that says where it belongs.
local function add_placed(queues, words, first, answers)
  local placing = cjson.decode(words[first + 3])
  local job = read_new_job(words[first], words[first + 1], words[first + 2], placing)
  local id, is_new = add_new(queues(job.queue), job)
  answers[#answers + 1] = is_new and id or { id }
end
