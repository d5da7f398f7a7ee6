-- check_id: raise if an id is no UTF-8: its outcome could never be told, so it would run for ever.
--
-- What has been found to be right becomes a dot, so that what stood around it does not join up.
local RIGHT = {
  '[\194-\223][\128-\191]', '\224[\160-\191][\128-\191]', '[\225-\236\238\239][\128-\191][\128-\191]',
  '\237[\128-\159][\128-\191]', '\240[\144-\191][\128-\191][\128-\191]',
  '[\241-\243][\128-\191][\128-\191][\128-\191]', '\244[\128-\143][\128-\191][\128-\191]',
}

local function is_utf8(text)
  for _, right in ipairs(RIGHT) do text = string.gsub(text, right, '.') end
  return not string.find(text, '[\128-\255]')
end

local function check_id(id)
  if not is_utf8(id) then error('its id is no UTF-8', 0) end
end
