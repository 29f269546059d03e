/** The entry point `millrace/schema-registry`: registries, and JSON in their wire format. Avro in it is in `millrace/avro`. */
export { confluentRegistry } from './confluent-registry.ts'
export type { ConfluentRegistryOptions } from './confluent-registry.ts'
export { memoryRegistry } from './memory-registry.ts'
export { registryJson } from './registry-json.ts'
export type { RegistryJsonOptions } from './registry-json.ts'
export type { RegisteredSchema, SchemaRegistry } from './schema-registry.ts'
