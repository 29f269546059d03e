/**
 * Values in the wire format of schema registries: a byte 0, the id of the writer's schema in 4 bytes, and what that schema
 * describes. https://docs.confluent.io/platform/current/schema-registry/fundamentals/serdes-develop/#wire-format
 *
 * Invariants
 *  - Decoding is synchronous: the schema of an id is fetched before (`awaitsBefore`), once, while its record waits.
 *  - An id that the registry does not know, or a schema that cannot be read, makes records undecodable; a registry that does not
 *    answer fails the source.
 *  - So many ids are remembered at most: bytes that are no records of this format name ids at random.
 */
import type { Format } from '../../src/contract/format.ts'
import { EngineError } from '../../src/core/errors.ts'
import type { RegisteredSchema, SchemaRegistry } from './schema-registry.ts'

/** What is written, and how. */
export interface RegistryWriter<T> {
  readonly subject: string | undefined
  /** Undefined: this format only reads. */
  readonly schema: RegisteredSchema | undefined
  encode(value: T): Uint8Array
}

export interface RegistryFormatOptions<T> {
  readonly name: string
  readonly registry: SchemaRegistry
  /** Makes the function that reads what was written with a schema. What it throws makes the records undecodable. */
  readonly readerOf: (schema: RegisteredSchema) => Read<T>
  readonly writer: RegistryWriter<T>
}

type Read<T> = (payload: Uint8Array) => T

/** Bytes before the payload. */
export const FRAME_BYTES = 5
const magic = 0
const idsMax = 10_000

export function registryFormat<T>(options: RegistryFormatOptions<T>): Format<T> {
  const { name, registry, readerOf, writer } = options
  const readers = new Map<number, Read<T>>()
  const pending = new Map<number, Promise<void>>()
  let writtenId: number | undefined

  const fetchReader = async (id: number): Promise<void> => {
    try {
      const schema = await registry.schemaOf(id)
      if (readers.size >= idsMax) readers.delete(readers.keys().next().value as number)
      readers.set(id, schema === undefined ? unknownId(id) : readable(readerOf, schema, id))
    } finally {
      pending.delete(id)
    }
  }
  return {
    name,
    awaitsBefore(bytes) {
      if (bytes.length < FRAME_BYTES || bytes[0] !== magic) return undefined // decode says what is wrong
      const id = idAt(bytes)
      if (readers.has(id)) return undefined
      let fetching = pending.get(id)
      if (fetching === undefined) {
        fetching = fetchReader(id)
        pending.set(id, fetching)
      }
      return fetching
    },
    decode(bytes) {
      checkFrame(bytes)
      const id = idAt(bytes)
      const read = readers.get(id)
      if (read !== undefined) return read(bytes.subarray(FRAME_BYTES))
      throw new EngineError(
        'JOB_INVALID',
        `The format ${name} fetches schemas while records wait, and this source does not hold records back; use it with Kafka sources`,
      )
    },
    async openEncoder() {
      const { subject, schema } = writer
      if (subject === undefined || schema === undefined) {
        throw new EngineError(
          'OPTION_INVALID',
          `The format ${name} is written with, and needs the schema and the subject it is kept under; give both, the subject like 'TOPIC-value'`,
        )
      }
      writtenId = await registry.idOf(subject, schema)
    },
    encode(value) {
      if (writtenId !== undefined) return framed(writtenId, writer.encode(value))
      throw new EngineError(
        'JOB_INVALID',
        `The format ${name} asks a registry for its schema's id first, and this sink does not wait for that; use it with Kafka sinks`,
      )
    },
  }
}

/** Throws for bytes that do not begin as the wire format does. */
export function checkFrame(bytes: Uint8Array): void {
  if (bytes.length < FRAME_BYTES) {
    throw new Error(`${bytes.length} bytes are too few for the id of a schema`)
  }
  if (bytes[0] === magic) return
  throw new Error(`It begins with byte ${bytes[0]} where a schema registry's format has ${magic}`)
}

/** The wire format of a payload. */
export function framed(id: number, payload: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(FRAME_BYTES + payload.length)
  bytes[0] = magic
  new DataView(bytes.buffer).setUint32(1, id)
  bytes.set(payload, FRAME_BYTES)
  return bytes
}

function idAt(bytes: Uint8Array): number {
  return new DataView(bytes.buffer, bytes.byteOffset, FRAME_BYTES).getUint32(1)
}

function unknownId(id: number): () => never {
  return () => {
    throw new Error(`The schema registry knows no schema ${id}`)
  }
}

/** The reader of a schema, or one that says of each record what is wrong with the schema. */
function readable<T>(
  readerOf: RegistryFormatOptions<T>['readerOf'],
  schema: RegisteredSchema,
  id: number,
): Read<T> {
  try {
    return readerOf(schema)
  } catch (cause) {
    const text = cause instanceof Error ? cause.message : String(cause)
    return () => {
      throw new Error(`Its schema ${id} cannot be used: ${text}`, { cause })
    }
  }
}
