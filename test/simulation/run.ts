/**
 * `node dist/test/simulation/run.js [FROM] [TO] [--trace] [--until-failure]`: runs seeds and prints what failed and the table of
 * faults.
 */
import { FAULTS, PHASES, simulate } from './simulate.ts'

const [from = '1', to = from] = process.argv.slice(2).filter((word) => !word.startsWith('--'))
const isTraced = process.argv.includes('--trace')
const untilFailure = process.argv.includes('--until-failure')
const table = new Map<string, number>()
let failed = 0
let few = 0
let calm = 0
let checkpoints = 0
let steps = 0
const startedMs = performance.now()
for (let seed = Number(from); seed <= Number(to); seed++) {
  const result = await simulate(seed, { isTraced })
  checkpoints += result.checkpoints
  if (result.checkpoints < 3) few += 1
  if (result.faults.length === 0) calm += 1
  steps += result.steps
  for (const [fault, phase] of result.faults) {
    const cell = `${fault}/${phase}`
    table.set(cell, (table.get(cell) ?? 0) + 1)
  }
  if (isTraced) console.log(result.trace.join('\n'))
  if (result.failure !== undefined) {
    failed += 1
    console.log(
      `seed ${seed}: ${result.failure}\n  faults: ${result.faults.map((f) => f.join(' while ')).join(', ')}`,
    )
    if (untilFailure) break
  }
}
const seconds = ((performance.now() - startedMs) / 1000).toFixed(1)
console.log(
  `\n${Number(to) - Number(from) + 1} seeds, ${failed} failed, ${checkpoints} checkpoints (${few} seeds below 3), ${calm} without fault, ${steps} steps, ${seconds} s`,
)
console.log(['', ...PHASES].map((phase) => phase.padEnd(18)).join(''))
for (const fault of FAULTS) {
  console.log(
    [fault, ...PHASES.map((phase) => String(table.get(`${fault}/${phase}`) ?? 0))]
      .map((text) => text.padEnd(18))
      .join(''),
  )
}
if (failed > 0) process.exitCode = 1
