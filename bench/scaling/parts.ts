/** The curves of `bench/scaling/measure`: what they are of, why they look as they do, and how they are written. Pure. */
import { spreadOf } from '../comparison/contest.ts'
import { curvesSvg } from '../comparison/curves.ts'
import { tableOf } from '../comparison/page.ts'

/** What one run cost. */
export interface Point {
  readonly part: string
  readonly curve: string
  readonly size: number
  readonly round: number
  readonly cpuNs: number
  readonly wallNs: number
}

interface Part {
  readonly name: string
  readonly title: string
  readonly what: string
  /** What a reader should know to understand the shape. */
  readonly shape: string
  readonly xLabel: string
  readonly isLogarithmic: boolean
}

export const PARTS: readonly Part[] = [
  {
    name: 'keys',
    title: 'Keys',
    what: 'A running count per key; records are a number and a key, keys come in random order, and all of them are there before the measurement.',
    shape: `Few keys lie in the processor's cache. The more there are the more often a record waits for main memory, for the index and for the value, as far as looking ahead within a batch does not hide it. Text keys are made, hashed and compared besides, and give the garbage collector as many objects. On disk the keys that fit the store's cache of 64 MiB cost two to three times what they cost in memory; those beyond are read from LevelDB and written to it.`,
    xLabel: 'keys',
    isLogarithmic: true,
  },
  {
    name: 'slides',
    title: 'Windows',
    what: 'Counts of 1000 keys in windows of 10 s, of which one begins every 10 s, 5 s … 0.1 s: a record belongs to as many windows as the axis says. 10 records a millisecond of event time.',
    shape: `A record is added once, to its slice of time, whatever the number of windows: so the curve begins flat. When a window ends, each key's slices are merged into a result. With n windows to a record a window has n slices, and n/100 results come for each record: merging grows with the square of n and outweighs the rest from about twenty windows on.`,
    xLabel: 'windows a record belongs to',
    isLogarithmic: false,
  },
  {
    name: 'chain',
    title: 'Operators in a chain',
    what: 'Numbers through 1 to 100 maps, each of which adds one.',
    shape:
      'Maps that follow each other are one function to V8, each with a source text of its own, so a further one costs a fraction of a nanosecond; the rest is source and sink.',
    xLabel: 'maps',
    isLogarithmic: false,
  },
  {
    name: 'subtasks',
    title: 'Subtasks',
    what: 'A running count of 100,000 keys over full auction events, which go to the subtask of their key; 1 to 8 subtasks on one thread and on two.',
    shape:
      'One subtask has no exchange. On one thread records are handed over as they are: that costs little, however many subtasks there are. To another thread they are encoded and decoded, half of them where there are two threads. Of n subtasks there are n² channels, each of which carries fewer records at a time, and each subtask has operators of its own for V8 to compile, so more subtasks than cores gain nothing.',
    xLabel: 'subtasks',
    isLogarithmic: false,
  },
  {
    name: 'queries',
    title: 'Workers',
    what: 'The queries of `bench/run` with one worker, with two, and with four subtasks on two threads; times of the clock, so only a machine with nothing else to do tells them.',
    shape:
      'A second worker gains at most what its records do not cost more: those that go to the other worker are encoded and decoded, which is what count and the joins pay for, and what gathering before the exchange saves q5, q7 and q11. Four subtasks on two threads only add channels.',
    xLabel: 'subtasks',
    isLogarithmic: false,
  },
]

const HEADER = ['part', 'curve', 'size', 'round', 'cpuNsPerRecord', 'wallNsPerRecord']

export function csvOf(points: readonly Point[]): string {
  const lines = points.map(({ part, curve, size, round, cpuNs, wallNs }) =>
    [part, curve.replaceAll(',', ';'), size, round, cpuNs.toFixed(0), wallNs.toFixed(0)].join(','),
  )
  return [HEADER.join(','), ...lines, ''].join('\n')
}

export function pointsOf(csv: string): Point[] {
  return csv
    .split('\n')
    .slice(1)
    .filter((line) => line !== '')
    .map((line) => {
      const [part = '', curve = '', ...numbers] = line.split(',')
      const [size = NaN, round = NaN, cpuNs = NaN, wallNs = NaN] = numbers.map(Number)
      return { part, curve: curve.replaceAll(';', ','), size, round, cpuNs, wallNs }
    })
}

export function svgOfPart(
  { name, title, xLabel, isLogarithmic }: Part,
  points: readonly Point[],
): string {
  const own = points.filter(({ part }) => part === name)
  const isOfClock = name === 'queries'
  return curvesSvg({
    title: isOfClock ? 'Events a second' : `${title}: CPU of a record`,
    x: { label: xLabel, isLogarithmic },
    y: { label: isOfClock ? 'M events/s' : 'ns' },
    curves: curvesOf(own).map((curve) => ({
      name: curve,
      points: sizesOf(own, curve).map((size) => {
        const each = at(own, curve, size)
        const y = isOfClock
          ? spreadOf(each.map(({ wallNs }) => 1000 / wallNs)).median
          : spreadOf(each.map(({ cpuNs }) => cpuNs)).median
        return [size, y] as const
      }),
    })),
  })
}

/** `file`: the name of the page without its ending, which the plots begin with. */
export function pageOf(points: readonly Point[], notes: readonly string[], file: string): string {
  const sections = PARTS.flatMap((part) => {
    const own = points.filter((point) => point.part === part.name)
    if (own.length === 0) return []
    return [
      `## ${part.title}`,
      '',
      part.what,
      '',
      part.shape,
      '',
      ...(part.name === 'queries' ? queryTable(own) : costTable(own, part.xLabel)),
      '',
      `![${part.title}](${file}.${part.name}.svg)`,
      '',
    ]
  })
  return ['# Scaling', '', ...notes.map((note) => `- ${note}`), '', ...sections].join('\n')
}

function costTable(own: readonly Point[], xLabel: string): readonly string[] {
  const curves = curvesOf(own)
  const sizes = [...new Set(own.map(({ size }) => size))].sort((a, b) => a - b)
  return tableOf(
    [xLabel, ...curves.map((curve) => `${curves.length === 1 ? '' : `${curve}, `}ns of CPU`)],
    sizes.map((size) => [
      size.toLocaleString('en'),
      ...curves.map((curve) => {
        const each = at(own, curve, size)
        return each.length === 0 ? '' : spreadOf(each.map(({ cpuNs }) => cpuNs)).median.toFixed(0)
      }),
    ]),
  )
}

/** Speed-ups are medians of ratios within a round. */
function queryTable(own: readonly Point[]): readonly string[] {
  const sizes = [...new Set(own.map(({ size }) => size))].sort((a, b) => a - b)
  const [least = 1, ...others] = sizes
  return tableOf(
    [
      'query',
      ...sizes.map((size) => `p=${size} M events/s`),
      ...others.map((size) => `p=${size} / p=${least}`),
      ...others.map((size) => `CPU, p=${size} / p=${least}`),
    ],
    curvesOf(own).map((query) => [
      query,
      ...sizes.map((size) => spreadOrNone(at(own, query, size).map(({ wallNs }) => 1000 / wallNs))),
      ...others.map((size) => ratio(own, query, size, least, (point) => 1 / point.wallNs)),
      ...others.map((size) => ratio(own, query, size, least, (point) => point.cpuNs)),
    ]),
  )
}

function ratio(
  own: readonly Point[],
  query: string,
  size: number,
  least: number,
  pick: (point: Point) => number,
): string {
  const bases = at(own, query, least)
  return spreadOrNone(
    at(own, query, size).flatMap((point) => {
      const base = bases.find(({ round }) => round === point.round)
      return base === undefined ? [] : [pick(point) / pick(base)]
    }),
  )
}

function spreadOrNone(values: readonly number[]): string {
  return values.length === 0 ? '' : spreadOf(values).median.toFixed(2)
}

function curvesOf(points: readonly Point[]): string[] {
  return [...new Set(points.map(({ curve }) => curve))]
}

function sizesOf(points: readonly Point[], curve: string): number[] {
  const sizes = points.filter((point) => point.curve === curve).map(({ size }) => size)
  return [...new Set(sizes)].sort((a, b) => a - b)
}

function at(points: readonly Point[], curve: string, size: number): Point[] {
  return points.filter((point) => point.curve === curve && point.size === size)
}
