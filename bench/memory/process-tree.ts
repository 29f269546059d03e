/** Runs a program and watches the memory of it and all that it starts. Linux only: reads /proc. */
import { spawn } from 'node:child_process'
import { readFileSync, readdirSync } from 'node:fs'
import { setInterval } from 'node:timers'

/** Between two looks. What comes and goes in between is missed, so a process's own word on its peak counts too. */
const LOOK_EVERY_MS = 50

export interface WatchedRun {
  /** Undefined where it failed or took too long. */
  readonly stdout: string | undefined
  readonly stderr: string
  /** The most that all processes together had resident at one time, MiB. */
  readonly peakMb: number
}

export interface WatchOptions {
  readonly env?: Readonly<Record<string, string>>
  readonly timeoutMs?: number
}

export function runWatched(
  command: readonly string[],
  { env = {}, timeoutMs = 600_000 }: WatchOptions = {},
): Promise<WatchedRun> {
  return new Promise((resolve, reject) => {
    const [program = '', ...args] = command
    const child = spawn(program, args, {
      env: { ...process.env, ...env },
      timeout: timeoutMs,
      killSignal: 'SIGKILL',
    })
    let [stdout, stderr, peakBytes] = ['', '', 0]
    child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()))
    child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()))
    const looking = setInterval(() => {
      if (child.pid !== undefined) peakBytes = Math.max(peakBytes, residentBytes(child.pid))
    }, LOOK_EVERY_MS)
    child.on('error', (error) => {
      clearInterval(looking)
      reject(error)
    })
    child.on('close', (code) => {
      clearInterval(looking)
      resolve({ stdout: code === 0 ? stdout : undefined, stderr, peakMb: peakBytes / 2 ** 20 })
    })
  })
}

const PAGE_BYTES = 4096

/** Of a process and its descendants, now. */
function residentBytes(root: number): number {
  const children = new Map<number, number[]>()
  const resident = new Map<number, number>()
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue
    try {
      // fields after the name in brackets, which may hold blanks: state, parent, …; the 22nd is the resident pages
      const stat = readFileSync(`/proc/${name}/stat`, 'utf8')
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
      const parent = Number(fields[1])
      children.set(parent, [...(children.get(parent) ?? []), Number(name)])
      resident.set(Number(name), Number(fields[21]) * PAGE_BYTES)
    } catch {
      // it has ended
    }
  }
  const sum = (id: number): number =>
    (children.get(id) ?? []).reduce((total, child) => total + sum(child), resident.get(id) ?? 0)
  return sum(root)
}
