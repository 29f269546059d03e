/**
 * About how many bytes a value would take encoded, without encoding it: looks at up to `NODES_MAX` parts and reckons the
 * rest from them. Binary values count for more, since their objects weigh more than their bytes. For the bounds of caches only.
 */

/** As many parts of a value are looked at. */
const NODES_MAX = 32

/** Counted for the objects of a view and of its buffer, which take more memory than small contents do. */
const VIEW_BYTES = 160

/** Never throws; what is no value counts little. */
export function estimateBytes(value: unknown): number {
  switch (typeof value) {
    case 'string':
      return value.length + 2
    case 'object':
      return value === null ? 1 : objectBytes(value, { nodes: NODES_MAX })
    default:
      return 9
  }
}

interface Budget {
  nodes: number
}

function partBytes(value: unknown, budget: Budget): number {
  if (typeof value === 'object' && value !== null) return objectBytes(value, budget)
  budget.nodes--
  return estimateBytes(value)
}

function objectBytes(value: object, budget: Budget): number {
  budget.nodes--
  if (ArrayBuffer.isView(value)) return value.byteLength + VIEW_BYTES
  if (Array.isArray(value)) return sample(value, value.length, budget)
  if (value instanceof Map || value instanceof Set) return sample(value, value.size, budget)
  let bytes = 8
  const fields = value as Readonly<Record<string, unknown>>
  for (const name in fields) {
    if (budget.nodes <= 0) return bytes * 2
    bytes += name.length + 1 + partBytes(fields[name], budget)
  }
  return bytes
}

function sample(items: Iterable<unknown>, count: number, budget: Budget): number {
  let bytes = 0
  let seen = 0
  for (const item of items) {
    if (budget.nodes <= 0) break
    bytes += partBytes(item, budget)
    seen++
  }
  return 8 + (seen === 0 ? count : Math.ceil((bytes * count) / seen))
}
