/** How much memory a process takes with all its descendants, from /proc. */
import { spawn } from 'node:child_process'
import { readFileSync, readdirSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'

/** Why memory can't be measured here; false where it can. */
export function skipWithoutProc(): string | false {
  try {
    readFileSync('/proc/self/status')
    return false
  } catch {
    return 'resident sizes are read from /proc, which this system has not'
  }
}

export interface MemorySample {
  readonly atMs: number
  readonly bytes: number
}

/** Runs a Node program to its end and watches its memory; its last line of output is JSON. */
export async function watchMemory(
  file: string,
  args: readonly string[],
): Promise<{ readonly samples: readonly MemorySample[]; readonly answer: unknown }> {
  const child = spawn(process.execPath, [file, ...args], { stdio: ['ignore', 'pipe', 'inherit'] })
  let output = ''
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()))
  const exited = new Promise<number | null>((resolve) => child.on('exit', resolve))
  const samples: MemorySample[] = []
  const startedMs = performance.now()
  while (child.exitCode === null && child.signalCode === null) {
    const bytes = residentBytesOfTree(child.pid ?? 0)
    if (bytes > 0) samples.push({ atMs: performance.now() - startedMs, bytes })
    await Promise.race([exited, sleep(200)])
  }
  const code = await exited
  if (code !== 0) throw new Error(`${file} ended with code ${code}: ${output}`)
  return { samples, answer: JSON.parse(output.trim().split('\n').at(-1) ?? '') as unknown }
}

export function peakMb(samples: readonly MemorySample[]): number {
  return Math.round(Math.max(...samples.map(({ bytes }) => bytes)) / 2 ** 20)
}

/** Megabytes a second, by least squares. */
export function slopeMbPerSecond(samples: readonly MemorySample[]): number {
  const mean = (values: readonly number[]): number =>
    values.reduce((sum, value) => sum + value, 0) / values.length
  const seconds = samples.map(({ atMs }) => atMs / 1000)
  const sizes = samples.map(({ bytes }) => bytes / 2 ** 20)
  const [x, y] = [mean(seconds), mean(sizes)]
  let covariance = 0
  let variance = 0
  for (const [index, second] of seconds.entries()) {
    covariance += (second - x) * ((sizes[index] ?? 0) - y)
    variance += (second - x) ** 2
  }
  return Math.round((covariance / variance) * 100) / 100
}

function residentBytesOfTree(root: number): number {
  const children = new Map<number, number[]>()
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue
    const parent = Number(field(name, 'PPid'))
    children.set(parent, [...(children.get(parent) ?? []), Number(name)])
  }
  let bytes = 0
  const left = [root]
  for (let pid = left.pop(); pid !== undefined; pid = left.pop()) {
    bytes += Number(field(String(pid), 'VmRSS')) * 1024
    left.push(...(children.get(pid) ?? []))
  }
  return bytes
}

/** A number of a process's status; 0 where it has gone meanwhile. */
function field(pid: string, name: string): string {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'latin1')
    return new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(status)?.[1] ?? '0'
  } catch {
    return '0'
  }
}
