/** What formats need of a schema registry. */

/** A schema as registries keep it. */
export interface RegisteredSchema {
  readonly type: 'AVRO' | 'JSON' | 'PROTOBUF'
  /** As JSON text. */
  readonly schema: string
}

/**
 * Where schemas are kept by number. Called off the record path, once an id: formats remember what they were told. A rejection
 * fails the source or the sink that asks, so what may pass by itself is tried again in here; `SCHEMA_REGISTRY_FAILED` is the code
 * for it.
 */
export interface SchemaRegistry {
  /** Undefined where there is none of this id: then the record is undecodable. */
  schemaOf(id: number): Promise<RegisteredSchema | undefined>
  /** The id of a schema among those of `subject`. */
  idOf(subject: string, schema: RegisteredSchema): Promise<number>
}
