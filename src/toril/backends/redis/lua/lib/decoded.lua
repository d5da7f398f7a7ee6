-- decoded: the JSON object or list that a text holds; nil if it holds none, or nests too deep.
local function decoded(text)
  if not text then return nil end
  local readable, value = pcall(cjson.decode, text)
  return readable and type(value) == 'table' and value or nil
end
