/**
 * What type checking a large job costs, in instantiations: a number that is the same on every machine, which seconds are not. It must
 * grow with the operators one by one: no type may carry what came before it.
 */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../../../', import.meta.url))
const OPERATORS_PER_BLOCK = 14
/** Of one operator; 56 to 70 were measured. */
const INSTANTIATIONS_MAX = 150

interface Shape {
  readonly blocks: number
  /** Whether each block reads the one before, or all read the source. */
  readonly isDeep: boolean
}

/** A job of a source and blocks of 14 operators of all kinds. */
function jobText({ blocks, isDeep }: Shape): string {
  const lines = [
    `import { combine, count, fromArray, job, mapState, max, outOfOrder, printSink, session, sliding, sum, tumbling, type, valueState } from 'millrace'
interface E { readonly id: number; readonly user: string; readonly kind: 'a' | 'b'; readonly amount: number; readonly atMs: number }
export default job('generated', (env) => {
  const s = env.from('source', fromArray<E>([]), { timestampMs: (e) => e.atMs, watermarks: outOfOrder({ delay: '1s' }) })`,
  ]
  for (let b = 0; b < blocks; b++) {
    lines.push(`
  const m${b} = ${isDeep && b > 0 ? `r${b - 1}` : 's'}.map((e) => ({ ...e, block: ${b}, net: e.amount * 0.9 })).filter((e) => e.kind === 'a').flatMap((e) => [e, { ...e, amount: 1 }])
  const w${b} = m${b}.keyBy((e) => e.user).window(sliding({ size: '10s', every: '2s' })).aggregate('agg${b}', combine({ n: count(), total: sum((e) => e.net), best: max((e) => e.amount) }))
  w${b}.keyBy((r) => r.value.n).count('again${b}').map((r) => ({ bucket: r.key, count: r.value })).to('out${b}', printSink())
  const p${b} = m${b}.keyBy((e) => e.user).process('p${b}', {
      emits: type<{ readonly user: string; readonly sum: number; readonly n: number }>(), side: { odd: type<E>() },
      state: { n: valueState({ default: 0 }), per: mapState<number, number>() }, inputs: { others: m${b}.keyBy((e) => e.user) } },
    ({ state, emit, side, timers, key }) => ({
      onRecord(e, { timestampMs }) { state.n.set(state.n.get() + 1); state.per.set(e.id, e.net); if (e.id % 2 === 1) side.odd(e); timers.setEventTime(timestampMs + 1000); emit({ user: key(), sum: e.amount, n: state.n.get() }) },
      inputs: { others(e) { state.n.set(e.id) } },
    }))
  const r${b} = p${b}.map((r) => ({ id: r.n, user: r.user, kind: 'a' as 'a' | 'b', amount: r.sum, atMs: 0 }))
  p${b}.side.odd.keyBy((e) => e.id).window(session({ gap: '10s' })).reduce('s${b}', (l, r) => (l.amount > r.amount ? l : r)).to('odd${b}', printSink())
  r${b}.windowAll(tumbling({ size: '1min' })).sum('t${b}', (x) => x.amount).to('all${b}', printSink())`)
  }
  return `${lines.join('\n')}\n})\n`
}

/** The instantiations that checking a job takes. */
async function instantiationsOf(directory: string, shape: Shape): Promise<number> {
  const name = `${shape.isDeep ? 'deep' : 'wide'}-${shape.blocks}`
  writeFileSync(join(directory, `${name}.ts`), jobText(shape))
  const project = join(directory, `${name}.json`)
  writeFileSync(
    project,
    JSON.stringify({
      extends: join(root, 'tsconfig.json'),
      compilerOptions: {
        noEmit: true,
        noUnusedLocals: false,
        incremental: false,
        declaration: false,
        isolatedDeclarations: false,
        tsBuildInfoFile: null,
        rootDir: '/',
        typeRoots: [join(root, 'node_modules/@types')],
        paths: { millrace: [join(root, 'dist/src/index.d.ts')] },
      },
      files: [`${name}.ts`],
      include: [],
    }),
  )
  const tsc = join(root, 'node_modules/typescript/bin/tsc')
  const output = await new Promise<string>((resolve, reject) => {
    execFile(
      process.execPath,
      [tsc, '-p', project, '--extendedDiagnostics'],
      (error, stdout, stderr) =>
        error === null ? resolve(stdout) : reject(new Error(`${stdout}${stderr}`)),
    )
  })
  const instantiations = /Instantiations:\s+([0-9]+)/.exec(output)?.[1]
  assert.ok(instantiations !== undefined, output)
  return Number(instantiations)
}

test('the type check of a job grows with its operators, one by one', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'millrace-types-'))
  writeFileSync(join(directory, 'package.json'), JSON.stringify({ type: 'module' }))
  try {
    const empty = await instantiationsOf(directory, { blocks: 0, isDeep: false })
    for (const isDeep of [false, true]) {
      for (const blocks of [4, 16]) {
        const operators = blocks * OPERATORS_PER_BLOCK
        const more = (await instantiationsOf(directory, { blocks, isDeep })) - empty
        t.diagnostic(
          `${operators} operators, ${isDeep ? 'deep' : 'wide'}: ${Math.round(more / operators)} instantiations each`,
        )
        assert.ok(
          more / operators < INSTANTIATIONS_MAX,
          `${operators} operators take ${more} instantiations, ${Math.round(more / operators)} each`,
        )
      }
    }
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
})
