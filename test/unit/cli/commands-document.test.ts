/** docs/commands.md tells of every command, argument, option, variable, key and exit code, and of none that there is not. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { parse } from 'yaml'
import { fileLayer } from '../../../src/cli/configuration.ts'
import { exitCodeHelp } from '../../../src/cli/exit-codes.ts'
import { makeProgram } from '../../../src/cli/program.ts'
import { CONFIG_FLAG, PARAMS_FLAG, settings, variableOf } from '../../../src/cli/settings.ts'

const text = readFileSync(new URL('../../../../docs/commands.md', import.meta.url), 'utf8')
/** Without the padding of its tables. */
const document = text.replaceAll(/ +/g, ' ')
const nothing = async (): Promise<void> => {}
const program = makeProgram('0', {
  run: nothing,
  explain: nothing,
  list: nothing,
  savepoint: nothing,
  checkpoint: nothing,
  stop: nothing,
  cancel: nothing,
})

/** The part under a heading, down to the next of the same or a higher level. */
function section(heading: string): string {
  const lines = document.split('\n')
  const start = lines.findIndex((line) => line.replace(/^#+ /, '') === heading)
  assert.ok(start >= 0, `docs/commands.md has a section '${heading}'`)
  const level = /^#+/.exec(lines[start] ?? '')?.[0].length ?? 0
  const rest = lines.slice(start + 1)
  const end = rest.findIndex((line) => (/^#+(?= )/.exec(line)?.[0].length ?? 9) <= level)
  return rest.slice(0, end < 0 ? undefined : end).join('\n')
}

test('every command is told of with its arguments, and every option in its section', () => {
  for (const command of program.commands) {
    const words = command.registeredArguments.map((argument) =>
      argument.required ? `<${argument.name()}>` : `[${argument.name()}]`,
    )
    const line = ['millrace', command.name(), ...words].join(' ')
    assert.ok(document.includes(`| \`${line}\` |`), `docs/commands.md tells of ${line}`)
    const part = section(`millrace ${command.name()}`)
    for (const { long, flags } of command.options) {
      if (long === '--json') continue
      const isTold = part.includes(`\`${flags.replaceAll('|', '\\|')}\``) || told(part, long)
      assert.ok(isTold, `the section on ${command.name()} tells of ${flags}`)
    }
  }
})

test('every setting of a run stands in one row with its option, variable, key and help', () => {
  const rows = section('millrace run').split('\n')
  for (const { flag, key, help } of settings) {
    const row = rows.find((each) => each.startsWith(`| \`${flag}`) && each.includes(`\`${key}\``))
    assert.ok(row, `a row tells of ${flag} and ${key}`)
    assert.ok(row.includes(`\`${variableOf(flag)}\``), `the row of ${flag} tells its variable`)
    assert.ok(row.includes(help), `the row of ${flag} says what its help says`)
  }
})

test('every exit code is told as the help tells it', () => {
  const codes = section('Exit codes').replaceAll(/ \(`[^)]*`\)/g, '')
  for (const [code, meaning] of exitCodeHelp) assert.ok(codes.includes(`| ${code} | ${meaning} |`))
  assert.equal(codes.match(/^\| \d/gm)?.length, exitCodeHelp.length)
})

test('the document tells of no option, variable or command that there is not', () => {
  const options = new Set(
    [program, ...program.commands].flatMap((command) => command.options.map(({ long }) => long)),
  )
  for (const [option] of document.matchAll(/--[a-z][a-z-]*/g)) {
    assert.ok(options.has(option) || option === '--help', `there is an option ${option}`)
  }
  const variables = [...settings.map(({ flag }) => flag), PARAMS_FLAG, CONFIG_FLAG].map(variableOf)
  for (const [variable] of document.matchAll(/MILLRACE_[A-Z_]+/g)) {
    assert.ok([...variables, 'MILLRACE_RUN_DIR'].includes(variable), `there is a ${variable}`)
  }
  const names = [...program.commands.map((command) => command.name()), 'help']
  for (const [, name] of document.matchAll(/`millrace ([a-z]+)/g)) {
    assert.ok(names.includes(name ?? ''), `there is a command ${name ?? ''}`)
  }
})

test('the config file of the document is right', () => {
  const [, yaml] = /```yaml\n(.*?)```/s.exec(text) ?? []

  const layer = fileLayer(parse(yaml ?? ''), 'orders.yaml', '/')

  assert.deepEqual(layer.mistakes, [])
  assert.equal(layer.values.size, 9)
})

function told(part: string, option: string | undefined): boolean {
  return part.includes(`\`${option ?? ''}\``)
}
