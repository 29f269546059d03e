/** The built command `millrace` as processes of its own. */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { until } from './running-jobs.ts'

const main = fileURLToPath(new URL('../../src/cli/main.js', import.meta.url))

/** How a process ended. */
export interface Ended {
  readonly code: number | null
  readonly out: string
  readonly log: string
}

export interface CommandOptions {
  /** Its current directory. */
  readonly cwd: string
  /** Where running jobs are found. */
  readonly runDirectory: string
  readonly environment?: Readonly<Record<string, string>>
}

/** A command under way; ended at once when the block is left. */
export class Command implements AsyncDisposable {
  readonly ended: Promise<Ended>
  readonly #child: ChildProcess
  #out = ''
  #log = ''

  /** `program`: another main.js than that of this build. */
  constructor(
    args: readonly string[],
    { cwd, runDirectory, environment = {} }: CommandOptions,
    program: string = main,
  ) {
    const own = Object.entries(process.env).filter(([name]) => !name.startsWith('MILLRACE_'))
    this.#child = spawn(process.execPath, [program, ...args], {
      cwd,
      env: { ...Object.fromEntries(own), MILLRACE_RUN_DIR: runDirectory, ...environment },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.#child.stdout?.on('data', (part: Buffer) => (this.#out += part.toString()))
    this.#child.stderr?.on('data', (part: Buffer) => (this.#log += part.toString()))
    this.ended = new Promise((resolve, reject) => {
      this.#child.on('error', reject)
      this.#child.on('close', (code) => resolve({ code, out: this.#out, log: this.#log }))
    })
  }

  get pid(): number {
    return this.#child.pid ?? 0
  }

  get out(): string {
    return this.#out
  }

  get log(): string {
    return this.#log
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }

  /** Waits until it has said `text`; fails when it ends without. */
  async says(text: string): Promise<void> {
    await until(`the command says '${text}'; it said:\n${this.#log}`, () => {
      if (this.#log.includes(text)) return true
      const { exitCode, signalCode } = this.#child
      if (exitCode === null && signalCode === null) return false
      throw new Error(
        `It ended (${exitCode ?? signalCode}) without saying '${text}':\n${this.#log}`,
      )
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.ended
  }
}

/** Runs a command to its end. */
export function runCommand(args: readonly string[], options: CommandOptions): Promise<Ended> {
  return new Command(args, options).ended
}
