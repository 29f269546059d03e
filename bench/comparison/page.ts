/** Pages of figures, and what every page says. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { availableParallelism, cpus, loadavg } from 'node:os'
import { dirname } from 'node:path'
import type { Spread } from './contest.ts'

/** Above this many waiting for each core, a page says that the machine was busy with other things. */
const LOAD_MAX = 1.5

/** The machine at the time of the first call: what it had to do besides, too. */
const loadAtStart = loadavg()[0] ?? 0

export function machineNote(): string {
  const cores = availableParallelism()
  const machine = `${cpus()[0]?.model ?? 'unknown processor'}, ${cores} cores, Node ${process.versions.node}`
  return loadAtStart > LOAD_MAX * cores
    ? `${machine}; the machine was busy with other work (load ${loadAtStart.toFixed(0)} at the start): wall times say little`
    : machine
}

export function roundsNote(rounds: string): string {
  return rounds === '1' ? 'one round' : `${rounds} rounds in turn; medians (least–most)`
}

/** Lines of a Markdown table. */
export function tableOf(
  header: readonly string[],
  rows: readonly (readonly string[])[],
): readonly string[] {
  return [header, header.map(() => '---'), ...rows].map((row) => `| ${row.join(' | ')} |`)
}

/** `median (least–most)`, or one figure where they are equal. */
export function spreadText({ median, least, most }: Spread, digits: number): string {
  const [middle, low, high] = [median, least, most].map((value) => value.toFixed(digits))
  return low === high ? `${middle}` : `${middle} (${low}–${high})`
}

/** Writes `<out>.<extension>` for each content. */
export function writePage(out: string, contents: Readonly<Record<string, string>>): void {
  mkdirSync(dirname(out), { recursive: true })
  for (const [extension, content] of Object.entries(contents)) {
    writeFileSync(`${out}.${extension}`, content)
  }
}
