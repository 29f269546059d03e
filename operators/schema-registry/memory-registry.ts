/** A registry in memory, for tests. */
import type { RegisteredSchema, SchemaRegistry } from './schema-registry.ts'

/** A registry in the memory of this thread. Ids count from 1; one schema has one id, whatever the subject. For tests. */
export function memoryRegistry(): SchemaRegistry {
  const schemas: RegisteredSchema[] = []
  return {
    async schemaOf(id) {
      return schemas[id - 1]
    },
    async idOf(_subject, { type, schema }) {
      const index = schemas.findIndex((known) => known.type === type && known.schema === schema)
      return index >= 0 ? index + 1 : schemas.push({ type, schema })
    },
  }
}
