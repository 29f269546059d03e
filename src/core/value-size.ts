/** How much memory a value takes, about: for bounds, never for decisions that change a result. */

const OBJECT_BYTES = 24
const FIELD_BYTES = 8
const ITEMS_SAMPLED = 8
const DEPTH_MAX = 4

/** Bytes a value takes on the heap, to within a small factor. Looks at a few items of each collection only. */
export function approximateBytes(value: unknown, depth = 0): number {
  switch (typeof value) {
    case 'string':
      return OBJECT_BYTES + value.length
    case 'object':
      return value === null || depth > DEPTH_MAX ? FIELD_BYTES : objectBytes(value, depth)
    case 'bigint':
      return OBJECT_BYTES
    default:
      return FIELD_BYTES
  }
}

function objectBytes(value: object, depth: number): number {
  if (Array.isArray(value)) return OBJECT_BYTES + sampled(value, value.length, depth)
  if (ArrayBuffer.isView(value)) return OBJECT_BYTES + value.byteLength
  if (value instanceof Map) return OBJECT_BYTES + 2 * sampled(value.values(), value.size, depth)
  if (value instanceof Set) return OBJECT_BYTES + sampled(value, value.size, depth)
  let bytes = OBJECT_BYTES
  for (const name in value) {
    bytes += FIELD_BYTES + approximateBytes((value as Record<string, unknown>)[name], depth + 1)
  }
  return bytes
}

function sampled(items: Iterable<unknown>, count: number, depth: number): number {
  let bytes = 0
  let seen = 0
  for (const item of items) {
    if (seen === ITEMS_SAMPLED) break
    bytes += FIELD_BYTES + approximateBytes(item, depth + 1)
    seen += 1
  }
  return seen === 0 ? 0 : (bytes / seen) * count
}
