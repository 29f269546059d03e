/**
 * The longest gaps between records while checkpoints of state in memory are taken, as a page:
 *
 *     bench/checkpoint/pauses [--keys 1000000,10000000] [--rounds 20] [--calm-every 4] [--copies 5] [--heap-mb 12000] [--out docs/benchmarks/checkpoint-pause]
 *
 * Runs pause.bench.ts for each number of keys, in a process of its own.
 */
import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { runEngine } from '../comparison/engine-run.ts'
import { machineNote, tableOf, writePage } from '../comparison/page.ts'

interface PauseLine {
  readonly keys: number
  readonly rounds: number
  readonly gapMs: number
  readonly gapMsMax: number
  readonly calmGapMs: number
  readonly copyMs: number
  readonly ratio: number
  readonly wallGapMs: number
  readonly wallCopyMs: number
  readonly checkpointMs: number
}

const { values } = parseArgs({
  options: {
    keys: { type: 'string', default: '1000000,10000000' },
    rounds: { type: 'string', default: '20' },
    'calm-every': { type: 'string', default: '4' },
    copies: { type: 'string', default: '5' },
    'heap-mb': { type: 'string', default: '12000' },
    out: { type: 'string', default: 'docs/benchmarks/checkpoint-pause' },
  },
})
const program = fileURLToPath(new URL('./pause.bench.js', import.meta.url))
const header = [
  'keys',
  'rounds',
  'longest gap, ms',
  'the most of any round',
  'without a checkpoint',
  'full copy, ms',
  'copy / gap',
  'gap by the clock, ms',
  'copy by the clock, ms',
  'checkpoint, ms',
]
const rows: string[][] = []
for (const keys of values.keys.split(',')) {
  const line = runEngine<PauseLine>(
    {
      name: 'pause',
      command: [process.execPath, `--max-old-space-size=${values['heap-mb']}`, program],
    },
    [
      `keys=${keys}`,
      `rounds=${values.rounds}`,
      `calmEvery=${values['calm-every']}`,
      `copies=${values.copies}`,
    ],
  )
  console.error(JSON.stringify(line))
  rows.push([
    line.keys.toLocaleString('en'),
    String(line.rounds),
    line.gapMs.toFixed(1),
    line.gapMsMax.toFixed(1),
    line.calmGapMs.toFixed(1),
    line.copyMs.toFixed(0),
    line.ratio.toFixed(0),
    line.wallGapMs.toFixed(1),
    line.wallCopyMs.toFixed(0),
    line.checkpointMs.toFixed(0),
  ])
  const md = [
    '# Gaps while a checkpoint is taken',
    '',
    '- one operator with a count and a sum for each key (a text), all of which change all the time; medians over the rounds of the longest gap between records from the trigger of a checkpoint to its completion',
    '- full copy: a Map of the same keys with a copy of each value, in the same process; the median of ' +
      values.copies,
    '- times that the thread itself worked, where not said to be by the clock; a gap is looked for every 64 records',
    '- without a checkpoint: for as long, between checkpoints: what source and garbage collector cause by themselves',
    `- ${machineNote()}`,
    '',
    ...tableOf(header, rows),
    '',
  ].join('\n')
  writePage(resolve(values.out), { md })
}
