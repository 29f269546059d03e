/** Contests as a Markdown table and as an SVG plot. Pure. */
import type { Contest, Spread } from './contest.ts'
import { cpuRatiosOf, ratiosOf, speedsOf, spreadOf } from './contest.ts'
import { COLOURS, text } from './curves.ts'
import { tableOf } from './page.ts'

export interface Report {
  readonly title: string
  /** Machine, versions, date: what a reader needs to judge the figures. One line each. */
  readonly notes: readonly string[]
  readonly engines: readonly string[]
  readonly contests: readonly Contest[]
  /** The plot's file name, as the document refers to it. */
  readonly plot: string
}

/**
 * The document. Ratios are medians over the rounds, with the least and the most in brackets. `CPU of X` is how many times the
 * processor time X took.
 */
export function markdownOf({ title, notes, engines, contests, plot }: Report): string {
  const [own, ...others] = engines as [string, ...string[]]
  const header = [
    'query',
    `${own} M events/s`,
    ...others.flatMap((other) => [`${other} M events/s`, `${own} / ${other}`, `CPU of ${other}`]),
    `${own} CPU µs an event`,
    'peak MB',
  ]
  const rows = contests.map((contest) => [
    contest.title,
    millions(speedsOf(contest, own)),
    ...others.flatMap((other) =>
      contest.outcomes.has(other)
        ? [
            millions(speedsOf(contest, other)),
            bracketed(ratiosOf(contest, own, other), 2),
            bracketed(cpuRatiosOf(contest, own, other), 1),
          ]
        : ['', '', ''],
    ),
    cpuText(contest, own),
    engines.map((engine) => memoryText(contest, engine)).join(' / '),
  ])
  return [
    `# ${title}`,
    '',
    ...notes.map((note) => `- ${note}`),
    '',
    ...tableOf(header, rows),
    '',
    `![${title}](${plot})`,
    '',
  ].join('\n')
}

const BAR_HEIGHT = 14
const BAR_WIDTH_MAX = 520
const LABEL_WIDTH = 190
const GROUP_GAP = 12
const PAGE_WIDTH = LABEL_WIDTH + BAR_WIDTH_MAX + 90

/** Speeds as bars: a group for each contest, a bar for each engine, from its least to its most drawn as a line. */
export function svgOf({ title, engines, contests }: Report): string {
  const highest = Math.max(
    ...contests.flatMap((contest) =>
      present(contest, engines).map((engine) => speedsOf(contest, engine).most),
    ),
  )
  const scale = BAR_WIDTH_MAX / highest
  const parts: string[] = []
  let y = 34
  for (const contest of contests) {
    parts.push(text(8, y + 11, contest.title))
    for (const engine of present(contest, engines)) {
      const { median, least, most } = speedsOf(contest, engine)
      const colour = COLOURS[engines.indexOf(engine) % COLOURS.length] as string
      const middle = y + BAR_HEIGHT / 2 - 1
      parts.push(
        `<rect x="${LABEL_WIDTH}" y="${y}" width="${(median * scale).toFixed(1)}" height="${BAR_HEIGHT - 2}" fill="${colour}"/>`,
        `<path d="M${(LABEL_WIDTH + least * scale).toFixed(1)} ${middle}H${(LABEL_WIDTH + most * scale).toFixed(1)}" stroke="#111" stroke-width="1.5"/>`,
        text(
          LABEL_WIDTH + most * scale + 6,
          y + 11,
          `${engine} ${(median / 1e6).toFixed(median / 1e6 < SLOW_MILLIONS ? 4 : 2)} M/s`,
        ),
      )
      y += BAR_HEIGHT
    }
    y += GROUP_GAP
  }
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${PAGE_WIDTH + 60}" height="${y}" font-family="sans-serif" font-size="11">`,
    `<rect width="100%" height="100%" fill="#fff"/>`,
    text(8, 18, title),
    ...parts,
    '</svg>',
    '',
  ].join('\n')
}

function present(contest: Contest, engines: readonly string[]): string[] {
  return engines.filter((engine) => contest.outcomes.has(engine))
}

/** Below this many millions two digits tell too little. */
const SLOW_MILLIONS = 0.1

function millions({ median, least, most }: Spread): string {
  const digits = least / 1e6 < SLOW_MILLIONS ? 4 : 2
  return bracketed({ median: median / 1e6, least: least / 1e6, most: most / 1e6 }, digits)
}

function bracketed({ median, least, most }: Spread, digits: number): string {
  return `${median.toFixed(digits)} (${least.toFixed(digits)}–${most.toFixed(digits)})`
}

function cpuText({ outcomes }: Contest, engine: string): string {
  const each = (outcomes.get(engine) ?? []).map(
    ({ cpuSeconds, seconds, eventsPerSecond }) => (cpuSeconds * 1e6) / (seconds * eventsPerSecond),
  )
  return spreadOf(each).median.toFixed(2)
}

function memoryText({ outcomes }: Contest, engine: string): string {
  const each = (outcomes.get(engine) ?? []).flatMap(({ maxRssMb }) =>
    maxRssMb === undefined ? [] : [maxRssMb],
  )
  return each.length === 0 ? '–' : spreadOf(each).median.toFixed(0)
}
