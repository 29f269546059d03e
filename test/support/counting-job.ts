/** A job without end whose output shows every record lost or doubled, run by `millrace run` in a directory of its own. */
import { readFile, readdir, writeFile } from 'node:fs/promises'
import type { JobReport } from '../../src/service/control-protocol.ts'
import { listJobs } from '../../src/service/control-client.ts'
import { Command, runCommand } from './commands.ts'
import type { CommandOptions, Ended } from './commands.ts'
import { Directory, until } from './running-jobs.ts'

/** Numbers without end, counted: the output of an unbroken run is 1, 2, 3, … */
export const counting: string = `
import { generate, job, json } from 'millrace'
import { fileSink } from 'millrace/files'

export default job('counting', { parallelism: 1 }, (env) => {
  env
    .from('numbers', generate({ recordsPerSecond: 500, record: (n) => ({ n }) }))
    .keyBy(() => 'all')
    .count('count')
    .map((row) => row.value)
    .to('out', fileSink({ directory: 'out', format: json() }))
})
`

export class CountingJob implements AsyncDisposable {
  readonly #directory: Directory
  readonly options: CommandOptions

  private constructor(directory: Directory) {
    this.#directory = directory
    this.options = { cwd: directory.path, runDirectory: directory.at('run') }
  }

  static async make(): Promise<CountingJob> {
    const directory = await Directory.make()
    await writeFile(directory.at('counting.ts'), counting)
    return new CountingJob(directory)
  }

  at(...names: readonly string[]): string {
    return this.#directory.at(...names)
  }

  start(...args: readonly string[]): Command {
    return new Command(['run', ...args, '--checkpoint-interval', '200ms'], this.options)
  }

  call(...args: readonly string[]): Promise<Ended> {
    return runCommand(args, this.options)
  }

  /** What the job tells of itself, once `isSo`. */
  async reportOnce(isSo: (report: JobReport) => boolean): Promise<JobReport> {
    let found: JobReport | undefined
    await until('the job reports', async () => {
      const jobs = await listJobs(this.options.runDirectory)
      found = jobs.map(({ report }) => report).find((each) => each !== undefined && isSo(each))
      return found !== undefined
    })
    return found as JobReport
  }

  /** All output that is visible, in order. */
  async output(): Promise<number[]> {
    const names = (await readdir(this.at('out'))).filter((name) => name.startsWith('part-'))
    const texts = await Promise.all(names.map((name) => readFile(this.at('out', name), 'utf8')))
    return texts
      .flatMap((text) => text.split('\n').filter((line) => line !== ''))
      .map(Number)
      .sort((a, b) => a - b)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#directory[Symbol.asyncDispose]()
  }
}
