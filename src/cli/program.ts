/** The commands and their options, for `commander`. What they do is handed in, so that help and documents can be checked without. */
import { Command, InvalidArgumentError, Option } from 'commander'
import { exitCodeHelp } from './exit-codes.ts'
import type { ExplainFormat } from '../plan/explain.ts'
import type { Setting } from './settings.ts'
import { CONFIG_FLAG, PARAMS_FLAG, settings } from './settings.ts'

/** What was given to a command that reads a job file. */
export interface GivenJob {
  readonly file: string
  readonly options: ReadonlyMap<string, string | boolean | readonly string[]>
  /** Options that the command does not have. */
  readonly unknown: readonly string[]
  /** Arguments beyond the job file. */
  readonly excess: readonly string[]
  /** Names of all options that the command has. */
  readonly known: readonly string[]
}

export interface Actions {
  run(given: GivenJob): Promise<void>
  explain(given: GivenJob, format: ExplainFormat): Promise<void>
  list(options: JsonOption): Promise<void>
  savepoint(job: string, directory: string | undefined, options: JsonOption): Promise<void>
  checkpoint(job: string, options: JsonOption): Promise<void>
  stop(job: string, options: JsonOption & StopOptions): Promise<void>
  cancel(job: string, options: JsonOption): Promise<void>
}

export interface JsonOption {
  readonly json?: true
}
export interface StopOptions {
  readonly drain?: true
  readonly savepoint?: string
}

/** What of a run's settings has a say in the plan. */
const planKeys: readonly string[] = ['parallelism', 'maxParallelism', 'threads']

export function makeProgram(version: string, actions: Actions): Command {
  const program = new Command('millrace')
    .description('Runs stream-processing jobs and tells them what to do.')
    .version(version, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .helpCommand('help [command]', 'print the help of a command')
    .showHelpAfterError('(millrace help tells what there is)')
  const add = (line: string, description: string): Command =>
    program.command(line).description(description)
  const addJson = (line: string, description: string): Command =>
    add(line, description).option('--json', 'print JSON')

  const run = add('run <job>', 'run a job: a .ts or .js file whose default export is job(…)')
  for (const setting of settings) addSetting(run, setting)
  addSources(run)
  run.addHelpText('after', runHelp)
  run.action((file: string) => actions.run(givenTo(run, file)))

  const explain = add(
    'explain <job>',
    'print the plan that run would carry out, without running it',
  )
    .allowUnknownOption()
    .allowExcessArguments()
    .addOption(
      new Option('--format <text|json|mermaid>', 'how it is printed (default: text)').argParser(
        formatOf,
      ),
    )
  for (const setting of settings) if (planKeys.includes(setting.key)) addSetting(explain, setting)
  addSources(explain)
  explain.action((file: string, { format }: { format?: ExplainFormat }) =>
    actions.explain(givenTo(explain, file), format ?? 'text'),
  )

  addJson('list', 'list the running jobs of this user on this machine').action(
    (options: JsonOption) => actions.list(options),
  )
  addJson('savepoint <job> [dir]', 'take a savepoint of a running job; print its path').action(
    (job: string, directory: string | undefined, options: JsonOption) =>
      actions.savepoint(job, directory, options),
  )
  addJson('checkpoint <job>', 'make a running job take a checkpoint now').action(
    (job: string, options: JsonOption) => actions.checkpoint(job, options),
  )
  addJson('stop <job>', 'end a running job after a last checkpoint; its next start goes on there')
    .option(
      '--drain',
      'first end its streams, so that every window fires; for jobs that are not started again',
    )
    .option('--savepoint <dir>', 'take a savepoint too; print its path')
    .action((job: string, options: JsonOption & StopOptions) => actions.stop(job, options))
  addJson(
    'cancel <job>',
    'end a running job as it is; its next start does again what was not checkpointed',
  ).action((job: string, options: JsonOption) => actions.cancel(job, options))

  program.addHelpText(
    'after',
    `\nA running job is named by its name, or by its process id where several have the same name.\n\nExit codes:\n${exitCodeHelp
      .map(([code, text]) => `  ${code.padEnd(9)} ${text}`)
      .join('\n')}`,
  )
  return program
}

function addSetting(command: Command, { flag, placeholder, group, help }: Setting): void {
  const line = placeholder === undefined ? flag : `${flag} <${placeholder}>`
  command.addOption(new Option(line, help).helpGroup(`${group}:`))
  if (placeholder !== undefined) return
  const no = `--no-${flag.slice(2)}`
  command.addOption(new Option(no, `not so, whatever a config file says`).helpGroup(`${group}:`))
}

/** Where else settings come from, and parameters. Unknown options are collected, so that all mistakes are named together. */
function addSources(command: Command): void {
  command
    .allowUnknownOption()
    .allowExcessArguments()
    .addOption(
      new Option(
        `${PARAMS_FLAG} <json|key=text|key:=json>`,
        'parameters of the job, decoded by its schema; may be given several times',
      )
        .argParser((text: string, former: readonly string[] | undefined) => [
          ...(former ?? []),
          text,
        ])
        .helpGroup('Sources:'),
    )
    .addOption(
      new Option(`${CONFIG_FLAG} <file>`, 'a YAML or JSON file of settings').helpGroup('Sources:'),
    )
}

function givenTo(command: Command, file: string): GivenJob {
  const options = new Map<string, string | boolean | readonly string[]>()
  for (const option of command.options) {
    const value: unknown = command.getOptionValue(option.attributeName())
    if (value === undefined || option.negate) continue
    options.set(option.long ?? option.flags, value as string | boolean | readonly string[])
  }
  const unknown = command.args.filter((text) => /^-./.test(text))
  // what follows an unknown option may be its value
  const excess = unknown.length > 0 ? [] : command.args.slice(1)
  return {
    file,
    options,
    unknown,
    excess,
    known: command.options.map((option) => option.long ?? option.flags),
  }
}

function formatOf(text: string): ExplainFormat {
  if (text === 'text' || text === 'json' || text === 'mermaid') return text
  throw new InvalidArgumentError('It is text, json or mermaid.')
}

const runHelp = `
Each setting may also stand in a config file (--config) and in the environment: --checkpoint-interval 5s is
MILLRACE_CHECKPOINT_INTERVAL=5s. The job's own defaults < config file < environment < command line.

A job whose input never ends takes checkpoints by itself, in .millrace/checkpoints/JOB, and goes on from the newest
when it is started again. A job whose input ends takes none unless it is asked to, and reads its input anew.

SIGTERM and SIGINT end the job after a last checkpoint (exit 0); a second one ends it at once.
docs/commands.md tells all of it.`
