-- rights: tell which commands the user may not run.
--
-- KEYS
--   key          any     one of the kind that the commands are for
-- ARGV
--   commands...  string  with arguments, divided by spaces; KEY stands for the key
-- RETURNS
--   the numbers of the commands that are refused, from 1; nil where nobody can say (before Redis 7)
-- EMITS
--   nothing
-- COST
--   O(N) commands
if not redis.acl_check_cmd then
  return false
end
local refused = {}
for index = 1, #ARGV do
  local words = {}
  for word in string.gmatch(ARGV[index], '%S+') do
    words[#words + 1] = word == 'KEY' and KEYS[1] or word
  end
  -- One that the server does not know raises: there is no right to it.
  local known, allowed = pcall(redis.acl_check_cmd, unpack(words))
  if known and not allowed then
    refused[#refused + 1] = index
  end
end
return refused
