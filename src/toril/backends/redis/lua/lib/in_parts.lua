-- in_parts: call `act` with parts of a list that are short enough to unpack.
local function in_parts(list, act)
  for first = 1, #list, 1000 do act(unpack(list, first, math.min(first + 999, #list))) end
end
