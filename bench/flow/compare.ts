/**
 * This engine and `@kafkats/flow` in turn on the same topic: a running count per key, exactly once.
 *
 *     (mkdir /tmp/flow; cd /tmp/flow; npm install @kafkats/flow @kafkats/client)
 *     bench/flow/compare --flow /tmp/flow [--events 200000] [--rounds 3]
 *
 * Without `--bootstrap` a broker is started, as for the tests. Writes `OUT.md` and `OUT.svg`; ends with exit code 1 where outputs differ.
 */
import { readFileSync } from 'node:fs'
import { basename, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { startKafka } from '../../test/support/kafka/start-kafka.ts'
import { disagreements } from '../comparison/contest.ts'
import { optionsOf, runEngine, runProgram } from '../comparison/engine-run.ts'
import { machineNote, roundsNote, writePage } from '../comparison/page.ts'
import { markdownOf, svgOf } from '../comparison/report.ts'
import { inTurn } from '../comparison/turns.ts'

const { values } = parseArgs({
  options: {
    flow: { type: 'string' },
    bootstrap: { type: 'string' },
    events: { type: 'string', default: '200000' },
    rounds: { type: 'string', default: '3' },
    'commit-ms': { type: 'string', default: '1000' },
    out: { type: 'string', default: 'docs/benchmarks/kafkats-flow' },
  },
})
if (values.flow === undefined) {
  console.error(
    'bench/flow/compare: give --flow, the directory in which @kafkats/flow is installed',
  )
  process.exit(2)
}
const flow = resolve(values.flow)
const flowPackage = join(flow, 'node_modules/@kafkats/flow/package.json')
const { version } = JSON.parse(readFileSync(flowPackage, 'utf8')) as { readonly version: string }
const run = fileURLToPath(new URL('../../../bench/flow/run', import.meta.url))
const kafkaRun = fileURLToPath(new URL('../../../bench/kafka/run', import.meta.url))
const kafka = values.bootstrap === undefined ? await startKafka() : undefined
try {
  const bootstrap = values.bootstrap ?? kafka?.bootstrap
  const topic = `bids-${Date.now()}`
  const { events } = values
  const load = optionsOf({ bootstrap, topic, events })
  runProgram({ name: 'load', command: [kafkaRun, 'load'] }, load)
  const engines = [
    { name: 'millrace', command: [run, 'millrace'] },
    { name: '@kafkats/flow', command: [run, 'flow', '--flow', flow] },
  ]
  const outcomes = inTurn(Number(values.rounds), engines, (engine) => {
    const outcome = runEngine(engine, [...load, '--commit-ms', values['commit-ms']])
    console.error(`${engine.name} ${JSON.stringify(outcome)}`)
    return outcome
  })
  const contest = { title: 'running count', outcomes }
  const out = resolve(values.out)
  const report = {
    title: 'Beside @kafkats/flow',
    notes: [
      `a running count of bids per auction, topic to topic, a row for each bid, exactly once, a commit every ${values['commit-ms']} ms; ${Number(events).toLocaleString('en')} bids of 200 bytes as JSON in 4 partitions`,
      `@kafkats/flow ${version}; its state in memory with a changelog topic, as by default`,
      'from the start of the job in the running process to the commit of the last offset',
      `${roundsNote(values.rounds)}; ratios within a round`,
      `${machineNote()}; the broker is on it too`,
      'outputs compared by row count and checksum; processor time of whole processes, the check of their output included, without the broker',
    ],
    engines: engines.map(({ name }) => name),
    contests: [contest],
    plot: `${basename(out)}.svg`,
  }
  writePage(out, { md: markdownOf(report), svg: svgOf(report) })
  for (const line of disagreements(contest)) {
    console.error(`Different outputs: ${line}`)
    process.exitCode = 1
  }
} finally {
  await kafka?.stop()
}
process.exit() // the broker's client has timers
