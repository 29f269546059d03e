/** The entry point `millrace/avro`. Only jobs that import it load the Avro library. */
export { avro, registryAvro } from './avro.ts'
export type { AvroOptions, AvroSchema, RegistryAvroOptions } from './avro.ts'
