/**
 * An Avro schema at work: from bytes to values of the value model and back.
 *
 * Invariants
 *  - What is decoded is plain: objects without a class, Uint8Arrays with memory of their own.
 *  - A long is a number up to 2^53 and a bigint beyond, whoever wrote it; none is rounded.
 *  - Bytes behind the value are an error, as are too few.
 */
import avsc from 'avsc'
import type { Type } from 'avsc'
import { EngineError } from '../../src/core/errors.ts'

/** An Avro schema: its JSON, as text or parsed. */
export type AvroSchema = string | object

export class AvroType {
  /** As JSON text. */
  readonly schema: string
  readonly #type: Type
  /** Whether something of it is bytes: those are Buffers for the library. */
  readonly #hasBytes: boolean

  /** Throws what the library says of a schema that is none. */
  constructor(schema: AvroSchema) {
    let hasBytes = false
    const parsed = (typeof schema === 'string' ? parse(schema) : schema) as Parameters<
      typeof avsc.Type.forSchema
    >[0]
    this.#type = avsc.Type.forSchema(parsed, {
      registry: { long: longType },
      typeHook(part: unknown) {
        const name = typeof part === 'object' && part !== null ? Reflect.get(part, 'type') : part
        if (name === 'bytes' || name === 'fixed') hasBytes = true
        return undefined
      },
    })
    this.#hasBytes = hasBytes
    this.schema = typeof schema === 'string' ? schema : JSON.stringify(schema)
  }

  /** The same for an option of a job. */
  static ofOption(schema: AvroSchema, name: string): AvroType {
    try {
      return new AvroType(schema)
    } catch (cause) {
      const text = cause instanceof Error ? cause.message : String(cause)
      throw new EngineError('OPTION_INVALID', `${name} is no Avro schema: ${text}`, { cause })
    }
  }

  /** The function that reads what was written with `writer`. Throws where Avro's rules cannot make the one of the other. */
  reader(writer?: AvroType): (bytes: Uint8Array) => unknown {
    const type = this.#type
    if (writer === undefined || writer.schema === this.schema) {
      return (bytes) => plain(type.fromBuffer(bufferOf(bytes)))
    }
    const resolver = type.createResolver(writer.#type)
    return (bytes) => plain(type.fromBuffer(bufferOf(bytes), resolver))
  }

  encode(value: unknown): Uint8Array {
    const buffers = this.#hasBytes ? withBuffers(value) : value
    try {
      return this.#type.toBuffer(buffers)
    } catch (cause) {
      throw new EngineError(
        'VALUE_UNSUPPORTED',
        `${this.#misfit(buffers)} cannot be written as Avro: it does not fit the schema`,
        { cause },
      )
    }
  }

  #misfit(value: unknown): string {
    let path: string | undefined
    this.#type.isValid(value, {
      errorHook(steps: string[]) {
        path ??= steps.join('.')
      },
    })
    return path === undefined || path === '' ? 'The value' : `The field ${path}`
  }
}

/** A name of a primitive type is a schema too, as text that is no JSON. */
function parse(schema: string): unknown {
  return /^[A-Za-z]+$/.test(schema.trim()) ? schema.trim() : (JSON.parse(schema) as unknown)
}

const int64Min = -(2n ** 63n)
const int64Max = 2n ** 63n - 1n

const longType = avsc.types.LongType.__with({
  fromBuffer(bytes: Buffer): number | bigint {
    const long = bytes.readBigInt64LE()
    const number = Number(long)
    return Number.isSafeInteger(number) ? number : long
  },
  toBuffer(long: number | bigint): Buffer {
    const bytes = Buffer.alloc(8)
    bytes.writeBigInt64LE(BigInt(long))
    return bytes
  },
  fromJSON: (json: number) => json,
  toJSON: Number,
  isValid(long: unknown): boolean {
    if (typeof long === 'bigint') return long >= int64Min && long <= int64Max
    return Number.isSafeInteger(long)
  },
  compare(a: number | bigint, b: number | bigint): number {
    return a === b ? 0 : a < b ? -1 : 1
  },
})

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

/** The library gives instances of classes that it makes of schemas. */
function plain(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value
  if (value instanceof Uint8Array) return new Uint8Array(value)
  if (Array.isArray(value)) return value.map(plain)
  const object: Record<string, unknown> = {}
  for (const [name, field] of Object.entries(value)) {
    if (name === '__proto__') throw new Error('It has a field named __proto__')
    object[name] = plain(field)
  }
  return object
}

function withBuffers(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value
  if (value instanceof Uint8Array) return bufferOf(value)
  if (Array.isArray(value)) return value.map(withBuffers)
  return Object.fromEntries(
    Object.entries(value).map(([name, field]) => [name, withBuffers(field)]),
  )
}
