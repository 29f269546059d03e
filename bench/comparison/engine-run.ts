/** Runs engines of a comparison as programs, and tells what they printed and what processor time they took. */
import { spawnSync } from 'node:child_process'
import type { Outcome } from './contest.ts'

export interface Engine {
  readonly name: string
  /** The program and its first arguments. */
  readonly command: readonly string[]
}

/** What a program printed, and the processor time of it and its children. */
export interface ProgramRun {
  readonly stdout: string
  readonly cpuSeconds: number
}

/** Of `NAME=COMMAND`. */
export function peerOf(text: string): Engine {
  const [, name, command] = /^([^=]+)=(.+)$/.exec(text) ?? []
  if (name === undefined || command === undefined) {
    throw new Error(`--peer ${text}: give NAME=COMMAND`)
  }
  return { name, command: command.split(/\s+/) }
}

/** As a command line has them; undefined ones are left out, and true ones have no value. */
export function optionsOf(
  options: Readonly<Record<string, string | number | boolean | undefined>>,
): string[] {
  return Object.entries(options).flatMap(([name, value]) => {
    if (value === undefined || value === false) return []
    return value === true ? [`--${name}`] : [`--${name}`, String(value)]
  })
}

/** Runs an engine; its last line that is a JSON object tells what came of it. */
export function runEngine<T = Outcome>(
  engine: Engine,
  args: readonly string[],
): T & { readonly cpuSeconds: number } {
  const { stdout, cpuSeconds } = runProgram(engine, args)
  const line = stdout.split('\n').findLast((each) => each.startsWith('{'))
  if (line === undefined) throw new Error(`${engine.name} ${args.join(' ')} printed no JSON object`)
  return { ...(JSON.parse(line) as T), cpuSeconds }
}

/** Fails where the program does. */
export function runProgram({ name, command }: Engine, args: readonly string[]): ProgramRun {
  // the shell's `times` tells what its children took: of every engine alike, whatever it is written in
  const { status, stdout, stderr } = spawnSync(
    'sh',
    ['-c', '"$@"; status=$?; times; exit $status', 'sh', ...command, ...args],
    { encoding: 'utf8', maxBuffer: 1 << 28 },
  )
  if (status !== 0) {
    throw new Error(`${name} ${args.join(' ')} ended with ${status}: ${stderr.slice(-2000)}`)
  }
  return { stdout, cpuSeconds: childSeconds(stdout.trim().split('\n').at(-1) ?? '') }
}

/** The last line of `times`: user and system time of the children, `1m2.345s 0m0.120s`. */
function childSeconds(line: string): number {
  let seconds = 0
  for (const [, minutes, rest] of line.matchAll(/(\d+)m([\d.]+)s/g)) {
    seconds += Number(minutes) * 60 + Number(rest)
  }
  return seconds
}
