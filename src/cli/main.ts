#!/usr/bin/env node
/**
 * The command `millrace`. Results go to standard output, everything else to standard error. What a command needs is loaded when it
 * runs: the engine and the control port's server are not for those who only list.
 */
import { readFileSync } from 'node:fs'
import { CommanderError } from 'commander'
import { toEngineError } from '../core/errors.ts'
import { runDirectoryOf } from '../service/run-registry.ts'
import { unknownOptionMistakes } from './configuration.ts'
import { EXIT, exitCodeOf } from './exit-codes.ts'
import type { ControlCommand } from './job-commands.ts'
import { CommandLog, errorText } from './log-lines.ts'
import { makeProgram } from './program.ts'
import type { GivenJob, JsonOption } from './program.ts'
import type { JobCommand } from './run-command.ts'

const logger = new CommandLog(
  (text) => process.stderr.write(text),
  () => new Date(),
)
const print = (text: string): void => void process.stdout.write(text)

// whoever read the output has gone: as with any filter, that is the end
process.stdout.on('error', (error: Error & { readonly code?: string }) => {
  if (error.code === 'EPIPE') process.exit(EXIT.failed)
  throw error
})

process.exitCode = await main()
// a job's own handles, a client that was not closed or a timer, do not keep the process: output first, then the end
process.stdout.write('', () => process.stderr.write('', () => process.exit()))

async function main(): Promise<number> {
  let exitCode: number = EXIT.ok
  const program = makeProgram(versionOfPackage(), {
    async run(given) {
      const { runCommand } = await import('./run-command.ts')
      exitCode = await runCommand(jobCommand(given))
    },
    async explain(given, format) {
      const { explainCommand } = await import('./run-command.ts')
      print(await explainCommand(jobCommand(given), format))
    },
    async list(options) {
      const { listCommand } = await import('./job-commands.ts')
      await listCommand(controlCommand(options))
    },
    async savepoint(job, directory, options) {
      const { savepointCommand } = await import('./job-commands.ts')
      await savepointCommand(job, directory, controlCommand(options))
    },
    async checkpoint(job, options) {
      const { checkpointCommand } = await import('./job-commands.ts')
      await checkpointCommand(job, controlCommand(options))
    },
    async stop(job, options) {
      const { stopCommand } = await import('./job-commands.ts')
      const { drain, savepoint } = options
      await stopCommand(job, { drain: drain === true, savepoint }, controlCommand(options))
    },
    async cancel(job, options) {
      const { cancelCommand } = await import('./job-commands.ts')
      await cancelCommand(job, controlCommand(options))
    },
  })
  for (const command of [program, ...program.commands]) command.exitOverride()
  try {
    await program.parseAsync()
    return exitCode
  } catch (error) {
    // commander has said what it is; help and version are no mistakes
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage
    const known = toEngineError(error)
    logger.error(errorText(known))
    return exitCodeOf(known)
  }
}

function jobCommand({ file, options, unknown, excess, known }: GivenJob): JobCommand {
  // commander takes an unknown option that stands first for the job
  const isOption = file.startsWith('-')
  return {
    file,
    options,
    environment: process.env,
    args: process.argv.slice(2),
    logger,
    mistakes: [
      ...unknownOptionMistakes(unknown, known),
      ...excess.map((text) => `'${text}' is one argument too many: a command runs one job`),
      ...(isOption ? ['the job file is missing; write it before the options'] : []),
    ],
  }
}

function controlCommand({ json }: JsonOption): ControlCommand {
  return { runDirectory: runDirectoryOf(process.env), isJson: json === true, print }
}

function versionOfPackage(): string {
  // from dist/src/cli, or from src/cli where it runs uncompiled
  for (const up of ['../../../package.json', '../../package.json']) {
    try {
      const text = readFileSync(new URL(up, import.meta.url), 'utf8')
      return (JSON.parse(text) as { readonly version: string }).version
    } catch {
      // the other place, then
    }
  }
  return 'unknown'
}
