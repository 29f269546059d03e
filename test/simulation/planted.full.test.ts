/** Each planted bug is found within the seeds that it is given. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { PLANTED_SEEDS_MAX, findPlanted, plantedNames } from './planted.ts'

for (const name of await plantedNames()) {
  test(`found within ${PLANTED_SEEDS_MAX} seeds: ${name}`, async (t) => {
    const found = await findPlanted(name)

    assert.ok(found !== undefined)
    t.diagnostic(`seed ${found.seed}: ${found.failure}`)
  })
}
