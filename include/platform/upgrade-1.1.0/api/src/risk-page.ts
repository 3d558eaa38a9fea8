/**
 * The script that reads risk as of one moment: the workers' state, and a page of the fills behind their cursor
 * that they have not counted yet. A script, because between two commands a worker may move entries from one to
 * the other.
 */

export const RISK_KEYS = [
  "risk:exposure",
  "risk:quantity",
  "risk:pnl",
  "risk:kill_switch",
  "risk:cursor:fills",
  "risk:cursor:control",
  "risk:applied",
  "fills",
  "control",
];

/** Arguments: cursor, number of applied orders and last entry that the caller has added up; size of a page. */
export const READ_RISK = `
local cursor = redis.call("GET", KEYS[5]) or "0-0"
local applied = redis.call("HLEN", KEYS[7])
local from = cursor
if cursor == ARGV[1] and applied == tonumber(ARGV[2]) then from = ARGV[3] end

local size = tonumber(ARGV[4])
local entries = redis.call("XRANGE", KEYS[8], "(" .. from, "+", "COUNT", size)
local last = from
local fills = {}
for _, entry in ipairs(entries) do
  last = entry[1]
  local fill = {}
  for i = 1, #entry[2], 2 do fill[entry[2][i]] = entry[2][i + 1] end
  if redis.call("HEXISTS", KEYS[7], fill.order_id) == 0 then
    fills[#fills + 1] = {entry[1], fill.order_id, fill.symbol, fill.side, fill.quantity, fill.price, fill.status}
  end
end

local switch = redis.call("GET", KEYS[4]) or "0"
local control = redis.call("GET", KEYS[6]) or "0-0"
local event = redis.call("XREVRANGE", KEYS[9], "+", "(" .. control, "COUNT", 1)[1]
if event then
  for i = 1, #event[2], 2 do
    if event[2][i] == "kill_switch" then switch = event[2][i + 1] end
  end
end

return {
  cursor, applied, from, last, #entries == size and 1 or 0, switch,
  redis.call("HGET", KEYS[3], "realised") or "0",
  redis.call("HGETALL", KEYS[1]), redis.call("HGETALL", KEYS[2]), fills,
}
`;

export type RiskReply = [
  cursor: string,
  applied: number,
  from: string,
  last: string,
  hasMore: number,
  killSwitch: string,
  pnl: string,
  exposure: string[],
  quantity: string[],
  fills: [id: string, orderId: string, symbol: string, side: string, quantity: string, price: string, status: string][],
];
