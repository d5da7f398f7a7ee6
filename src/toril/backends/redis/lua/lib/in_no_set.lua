-- in_no_set: whether no sorted set has a job and no lock holds it: it is in a list, or nowhere.
local function in_no_set(base, id)
  for _, state in ipairs({ 'completed', 'delayed', 'failed', 'prioritized', 'waiting-children' }) do
    if try('ZSCORE', base .. state, id) then return false end
  end
  return redis.call('EXISTS', base .. id .. ':lock') == 0
end
