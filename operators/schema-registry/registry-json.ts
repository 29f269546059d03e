/** JSON with the id of a schema before it: the format of `registryJson()`. */
import type { Format } from '../../src/contract/format.ts'
import type { Schema } from '../../src/core/schema.ts'
import { json } from '../formats/json.ts'
import { checkFrame, FRAME_BYTES, registryFormat } from './registry-format.ts'
import type { SchemaRegistry } from './schema-registry.ts'

export interface RegistryJsonOptions<T> {
  readonly registry: SchemaRegistry
  /** The JSON schema that is written with. Only sinks need it. */
  readonly schema?: string | object
  /** Under which it is kept, like `TOPIC-value`. Only sinks need it. */
  readonly subject?: string
  /** Checks what is decoded, as that of `json` does. */
  readonly validate?: Schema<T>
}

/**
 * JSON in the wire format of schema registries. What is read is JSON whatever its schema says, so reading asks the registry nothing; give
 * `validate` to have it checked.
 *
 * @example
 * kafkaSource({ brokers, topics: ['views'], value: registryJson({ registry, validate: viewSchema }) })
 */
export function registryJson<T>(options: RegistryJsonOptions<T>): Format<T> {
  const { registry, schema, subject, validate } = options
  const payload = json<T>(validate)
  const text = typeof schema === 'object' ? JSON.stringify(schema) : schema
  const format = registryFormat<T>({
    name: 'registryJson',
    registry,
    readerOf: () => (bytes) => payload.decode(bytes),
    writer: {
      subject,
      schema: text === undefined ? undefined : { type: 'JSON', schema: text },
      encode: (value) => payload.encode(value),
    },
  })
  return {
    name: format.name,
    openEncoder: async () => format.openEncoder?.(),
    encode: (value) => format.encode(value),
    decode(bytes) {
      checkFrame(bytes)
      return payload.decode(bytes.subarray(FRAME_BYTES))
    },
  }
}
