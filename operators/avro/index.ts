/** The entry point `millrace/avro`. Only jobs that import it load the Avro library. */
export { avro, registryAvro } from './avro.ts'
export type { AvroOptions, RegistryAvroOptions } from './avro.ts'
export type { AvroSchema } from './avro-type.ts'
