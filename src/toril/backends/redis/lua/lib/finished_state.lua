-- finished_state: in which of the finished states a job is; nil if in none.
local function finished_state(base, id)
  for _, state in ipairs({ 'completed', 'failed' }) do
    if try('ZSCORE', base .. state, id) then return state end
  end
end
