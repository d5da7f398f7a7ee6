-- schedule_keys: what belongs to one schedule: its hash, what is ours of it, the job of a slot.
local function schedule_key(queue, id) return queue.base .. 'repeat:' .. id end

local function beside_key(queue) return queue.base .. 'toril:schedules' end

local function declared_key(queue) return queue.base .. 'toril:declared' end

local function newest_slot(queue, id) return redis.call('ZSCORE', queue.base .. 'repeat', id) end

local function slot_job(id, slot) return 'repeat:' .. id .. ':' .. slot end
