-- blame: tell what is wrong with one job or one key from what the server refuses to everybody.
--
-- Anyone who can write to the server can leave text and types under a queue's keys that no script
-- expects. Such a fault is the key's own, and may cost nobody else anything. `blame` returns what is
-- wrong in words. A full memory, a replica, or a missing right is not the key's fault: `blame` raises
-- these again, so that the whole call fails.
local function blame(problem)
  local text = type(problem) == 'table' and problem.err or tostring(problem)
  -- A text that is raised again loses its first word, from Redis 7 on.
  local again = redis.REDIS_VERSION_NUM and { err = text } or text
  for word in string.gmatch('OOM MISCONF READONLY NOREPLICAS NOPERM MASTERDOWN LOADING CLUSTERDOWN '
    .. 'TRYAGAIN BUSY UNKILLABLE', '%u+') do
    -- Up to Redis 6.2 the word stands somewhere in the text, behind a dash.
    if string.find(' ' .. text, '[ %-]' .. word .. ' ') then error(again, 0) end
  end
  for _, words in ipairs({ 'not enough memory', 'user executing the script', 'ACL failure',
    'Script killed', 'nonexistent global' }) do
    if string.find(text, words, 1, true) then error(again, 0) end
  end
  return (string.gsub(text, '%s*script: .*$', ''))
end

-- try: run a command; nil if the key or the field holds what the command cannot work with.
local function try(...)
  local answer = redis.pcall(...)
  if type(answer) == 'table' and answer.err then
    blame(answer)
    return nil
  end
  return answer
end

-- despite_damage: call a function; what it returns, or nil and what is wrong with a key or a field.
local function despite_damage(act, ...)
  local done, answer = pcall(act, ...)
  if done then return answer end
  return nil, blame(answer)
end

-- note_problem: likewise, for what concerns a whole queue: the caller of the script is told.
local function note_problem(queue, act, ...)
  local done, answer = pcall(act, ...)
  if done then return answer end
  queue.problem = blame(answer)
  return nil
end
