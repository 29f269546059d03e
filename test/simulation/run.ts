/** `node dist/test/simulation/run.js [FROM] [TO] [--trace]`: runs seeds and prints what failed and the table of faults. */
import { FAULTS, PHASES, simulate } from './simulate.ts'

const [from = '1', to = from] = process.argv.slice(2).filter((word) => !word.startsWith('--'))
const isTraced = process.argv.includes('--trace')
const table = new Map<string, number>()
let failed = 0
let checkpoints = 0
let steps = 0
const startedMs = performance.now()
for (let seed = Number(from); seed <= Number(to); seed++) {
  const result = await simulate(seed, { isTraced })
  checkpoints += result.checkpoints
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
  }
}
const seconds = ((performance.now() - startedMs) / 1000).toFixed(1)
console.log(
  `\n${Number(to) - Number(from) + 1} seeds, ${failed} failed, ${checkpoints} checkpoints, ${steps} steps, ${seconds} s`,
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
