/** Avro's binary encoding: the formats of `avro()` and `registryAvro()`. */
import type { Format } from '../../src/contract/format.ts'
import type { Schema } from '../../src/core/schema.ts'
import { checkedBy } from '../formats/schema-check.ts'
import { registryFormat } from '../schema-registry/registry-format.ts'
import type { SchemaRegistry } from '../schema-registry/schema-registry.ts'
import { AvroType } from './avro-type.ts'
import type { AvroSchema } from './avro-type.ts'

export interface AvroOptions<T> {
  /** Of the values: what is read is given its shape, and what is written has it. */
  readonly schema: AvroSchema
  /** What is read was written with, if it is another: the two must be compatible. Default: `schema`. */
  readonly writerSchema?: AvroSchema
  /** Checks what is decoded, as that of `json` does. */
  readonly validate?: Schema<T>
}

/**
 * Bare Avro values, without a container file or the id of a schema. Records and maps are plain objects, bytes and fixed
 * Uint8Arrays; a long is a number, and beyond 2^53 a bigint. Logical types are read as what they are made of: a `timestamp-millis` is a
 * number. A union of several types that look alike in JavaScript (two records, `int` and `float`) has its values wrapped: `{ 'org.Name': value }`.
 *
 * What does not fit the schema is refused with `VALUE_UNSUPPORTED` where it is written; a schema that is none is `OPTION_INVALID`.
 *
 * @example
 * kafkaSource({ brokers, topics: ['views'], value: avro<View>({ schema: viewSchema }) })
 */
export function avro<T>({ schema, writerSchema, validate }: AvroOptions<T>): Format<T> {
  const type = AvroType.ofOption(schema, 'schema')
  const read =
    writerSchema === undefined
      ? type.reader()
      : type.reader(AvroType.ofOption(writerSchema, 'writerSchema'))
  const checked = checkedBy(validate)
  return {
    name: 'avro',
    encode: (value) => type.encode(value),
    decode: (bytes) => checked(read(bytes)),
  }
}

export interface RegistryAvroOptions<T> {
  readonly registry: SchemaRegistry
  /** What is read is given its shape, by Avro's rules for other versions of a schema; needed to write. Default: as it was written. */
  readonly schema?: AvroSchema
  /** Under which `schema` is kept, like `TOPIC-value`. Only sinks need it. */
  readonly subject?: string
  /** Checks what is decoded, as that of `json` does. */
  readonly validate?: Schema<T>
}

/**
 * Avro in the wire format of schema registries: each value says with which schema it was written. Values as those of `avro`.
 * For Kafka only: a record whose schema is not known yet waits for it.
 *
 * @example
 * const registry = confluentRegistry({ url: 'http://localhost:8081' })
 * kafkaSource({ brokers, topics: ['views'], value: registryAvro<View>({ registry, schema: viewSchema }) })
 */
export function registryAvro<T>(options: RegistryAvroOptions<T>): Format<T> {
  const { registry, schema, subject, validate } = options
  const type = schema === undefined ? undefined : AvroType.ofOption(schema, 'schema')
  const checked = checkedBy(validate)
  return registryFormat<T>({
    name: 'registryAvro',
    registry,
    readerOf(written) {
      if (written.type !== 'AVRO') throw new Error(`it is of ${written.type}, not of AVRO`)
      const writtenType = new AvroType(written.schema)
      const read = type === undefined ? writtenType.reader() : type.reader(writtenType)
      return (payload) => checked(read(payload))
    },
    writer: {
      subject,
      schema: type === undefined ? undefined : { type: 'AVRO', schema: type.schema },
      encode(value) {
        return (type as AvroType).encode(value) // openEncoder has seen to it that there is one
      },
    },
  })
}
