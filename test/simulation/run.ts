/**
 * `node dist/test/simulation/run.js [FROM] [TO] [--trace] [--until-failure] [--kafka]`: runs seeds and prints what failed and the table of
 * faults.
 */
import { FAULTS, FaultTable, KAFKA_FAULTS } from './faults.ts'
import { simulate } from './simulate.ts'

const [from = '1', to = from] = process.argv.slice(2).filter((word) => !word.startsWith('--'))
const isTraced = process.argv.includes('--trace')
const sink = process.argv.includes('--kafka') ? 'kafka' : 'store'
const untilFailure = process.argv.includes('--until-failure')
const table = new FaultTable()
let count = 0
let failed = 0
let few = 0
let calm = 0
let checkpoints = 0
let steps = 0
const startedMs = performance.now()
for (let seed = Number(from); seed <= Number(to); seed++) {
  const result = await simulate(seed, { isTraced, sink })
  count += 1
  checkpoints += result.checkpoints
  if (result.checkpoints < 3) few += 1
  if (result.faults.length === 0) calm += 1
  steps += result.steps
  table.add(result.faults)
  if (isTraced) console.log(result.trace.join('\n'))
  if (result.failure === undefined) continue
  failed += 1
  const faults = result.faults.map((fault) => fault.join(' while ')).join(', ')
  console.log(`seed ${seed}: ${result.failure}\n  faults: ${faults}`)
  if (untilFailure) break
}
const seconds = ((performance.now() - startedMs) / 1000).toFixed(1)
console.log(
  `\n${count} seeds, ${failed} failed, ${checkpoints} checkpoints (${few} seeds below 3), ${calm} without fault, ${steps} steps, ${seconds} s\n${table.toString(sink === 'kafka' ? KAFKA_FAULTS : FAULTS)}`,
)
if (failed > 0) process.exitCode = 1
