-- number_of: read a number that is stored as text; nil if none can be made of it.
--
-- Not a number, infinite, or beyond 2^53: commands refuse it, and a loop that counts on from it never
-- ends.
local MOST = 9007199254740991

local function number_of(text)
  local number = tonumber(text)
  return number and number >= -MOST and number <= MOST and number or nil
end

-- priority_of: a priority as the layout allows it: 0 to 2097151.
local function priority_of(text)
  local priority = number_of(text) or 0
  return priority > 0 and math.min(math.floor(priority), 2097151) or 0
end
