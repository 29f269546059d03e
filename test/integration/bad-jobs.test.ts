/** What whoever writes a job wrongly is told: the code, where it is, and what to do. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { after, before, describe, test } from 'node:test'
import { EngineError, arraySink, fromArray, generate, job, run, start } from '../../src/index.ts'
import type { Job, RunOptions } from '../../src/index.ts'
import type { JobGraph } from '../../src/plan/job-graph.ts'
import { validateGraph } from '../../src/plan/validate.ts'

interface Told {
  readonly code: string
  readonly text: RegExp
  readonly operatorUid?: string
}

async function assertTold(work: () => unknown, { code, text, operatorUid }: Told): Promise<void> {
  await assert.rejects(
    async () => work(),
    (error: unknown) => {
      assert.ok(error instanceof EngineError, String(error))
      assert.equal(error.code, code, error.message)
      assert.match(error.message, text)
      if (operatorUid !== undefined) assert.equal(error.operatorUid, operatorUid)
      return true
    },
  )
}

const numbers = [1, 2, 3]

/** The running sum of numbers per key, into `rows`. */
function sums(name: string, uid: string, rows: unknown[] = []): Job {
  return job(name, (env) => {
    env
      .from('numbers', fromArray(numbers))
      .keyBy((value) => value % 2)
      .reduce(uid, (a, b) => a + b)
      .to('rows', arraySink(rows))
  })
}

/** The same over numbers that never end. */
function unending(name: string): Job {
  return job(name, (env) => {
    env
      .from('numbers', generate({ recordsPerSecond: 1000, record: (index) => index }))
      .keyBy((value) => value % 2)
      .reduce('sums', (a, b) => a + b)
      .to('rows', arraySink<unknown>([]))
  })
}

describe('a job that is wrong is refused with what to do', () => {
  let directory = ''
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'millrace-bad-jobs-'))
  })
  after(() => rm(directory, { recursive: true, force: true }))

  test('an operator with state that has no uid', async () => {
    const noUid = undefined as unknown as string // a compile error, but not in JavaScript
    await assertTold(() => run(sums('bad', noUid)), {
      code: 'UID_MISSING',
      text: /Job 'bad': .*has no uid; give it one as its first argument/,
    })
  })

  test('a uid twice', async () => {
    await assertTold(() => run(sums('bad', 'rows')), {
      code: 'UID_TWICE',
      text: /two operators have the uid 'rows' .*give each its own/,
      operatorUid: 'rows',
    })
  })

  test('a uid that cannot be one', async () => {
    await assertTold(() => run(sums('bad', 'running sums')), {
      code: 'UID_INVALID',
      text: /'running sums' is no uid; use up to 100 letters, digits/,
    })
  })

  test('operators that feed each other, which streams cannot describe but a graph can', async () => {
    const graph = sums('bad', 'sums').build(undefined)
    const last = graph.edges.findIndex(({ to }) => graph.nodes[to]?.uid === 'sums')
    const edge = graph.edges[last]
    assert.ok(edge !== undefined)
    const circle: JobGraph = {
      ...graph,
      edges: [...graph.edges, { ...edge, from: edge.to, to: edge.to }],
    }
    await assertTold(() => validateGraph(circle, { parallelism: 1, maxParallelism: 128 }), {
      code: 'GRAPH_CYCLE',
      text: /sums -> sums feed each other in a circle/,
    })
  })

  test('no sink', async () => {
    const noSink = job('bad', (env) => {
      env.from('numbers', fromArray(numbers))
    })
    await assertTold(() => run(noSink), {
      code: 'GRAPH_NO_SINK',
      text: /Job 'bad': it writes nowhere.*end a stream with \.to\(uid, sink\)/,
    })
  })

  test('no source', async () => {
    await assertTold(() => run(job('bad', () => {})), {
      code: 'GRAPH_NO_SOURCE',
      text: /Job 'bad': it reads from nowhere; begin with env\.from\(uid, source\)/,
    })
  })

  test('several mistakes are told at once', async () => {
    const bad = job('bad', { parallelism: 4, maxParallelism: 2 }, (env) => {
      env.from('a', fromArray(numbers)).to('a', arraySink<unknown>([]))
    })
    await assertTold(() => run(bad), {
      code: 'JOB_INVALID',
      text: /Job 'bad' has 2 mistakes:\n {2}PARALLELISM_ABOVE_MAX: [^]*\n {2}UID_TWICE: /,
    })
  })

  test('a key that is none', async () => {
    const bad = job('bad', (env) => {
      env
        .from('numbers', fromArray(numbers))
        .keyBy(() => ({}) as unknown as string)
        .count('counts')
        .to('rows', arraySink<unknown>([]))
    })
    await assertTold(() => run(bad), {
      code: 'KEY_INVALID',
      text: /job 'bad', operator '[^]*The key selector returned .*a key is a string, number/,
    })
  })

  test('a value that cannot be carried, with the path of the field', async () => {
    class Money {
      readonly cents = 1
    }
    const bad = job('bad', (env) => {
      env
        .from('numbers', fromArray(numbers))
        .map((value) => ({ key: value, price: new Money() }))
        .keyBy(({ key }) => key)
        .reduce('last', (_, value) => value)
        .to('rows', arraySink<unknown>([]))
    })
    await assertTold(() => run(bad), {
      code: 'VALUE_UNSUPPORTED',
      text: /job 'bad', operator '[^]*price.*Money.*cannot be carried between threads or kept in state; /,
    })
  })

  test('parallelism above the number of key groups', async () => {
    await assertTold(() => run(sums('bad', 'sums'), { parallelism: 3, maxParallelism: 2 }), {
      code: 'JOB_INVALID',
      text: /parallelism 3 is above maxParallelism 2; lower the parallelism/,
    })
  })

  test('an option that nobody knows', async () => {
    const options = { paralelism: 2 } as RunOptions
    await assertTold(() => run(sums('bad', 'sums'), options), {
      code: 'OPTION_INVALID',
      text: /'paralelism' is no option of run and start; correct the spelling: .*\bparallelism\b/,
    })
    await assertTold(() => job('bad', options, () => {}), {
      code: 'OPTION_INVALID',
      text: /'paralelism' is no option of job\('bad', …\); correct the spelling: /,
    })
    const checkpoints = { directory, intervall: '1s' }
    await assertTold(() => run(sums('bad', 'sums'), { checkpoints }), {
      code: 'OPTION_INVALID',
      text: /'intervall' is no option of checkpoints; correct the spelling: .*\binterval\b/,
    })
  })

  test('an option of a value that it cannot have', async () => {
    const options = { state: 'rocksdb' } as unknown as RunOptions
    await assertTold(() => run(sums('bad', 'sums'), options), {
      code: 'OPTION_INVALID',
      text: /state must be one of memory, leveldb, but is 'rocksdb'/,
    })
  })

  test('threads without the module that they are to load', async () => {
    const options = { threads: 2 } as unknown as RunOptions
    await assertTold(() => run(sums('bad', 'sums'), options), {
      code: 'THREADS_NEED_MODULE',
      text: /give module: new URL\(\.\.\.\), or run it in the calling thread/,
    })
  })

  test('a stop with a savepoint while the job starts', async () => {
    await using starting = start(unending('starting'), {
      checkpoints: { directory: join(directory, 'starting') },
    })
    await assertTold(() => starting.stop({ savepoint: join(directory, 'savepoints') }), {
      code: 'JOB_NOT_RUNNING',
      text: /Job 'starting' is starting; wait until it runs/,
    })
  })

  test('a savepoint that is not there, or a directory that is none', async () => {
    for (const from of [join(directory, 'nowhere'), directory]) {
      await assertTold(() => run(sums('bad', 'sums'), { from }), {
        code: 'SAVEPOINT_NOT_FOUND',
        text: /There is no savepoint at .*; give the directory that 'savepoint' printed/,
      })
    }
  })

  test('the savepoint of another job, before anything of this one has run', async () => {
    const first = start(unending('first'), {
      checkpoints: { directory: join(directory, 'first') },
    })
    while (first.status !== 'running') await sleep(5)
    const { savepoint } = await first.stop({ savepoint: join(directory, 'savepoints') })
    assert.ok(savepoint !== undefined)
    const rows: unknown[] = []
    const options = {
      from: savepoint.path,
      checkpoints: { directory: join(directory, 'second') },
    }
    await assertTold(() => run(sums('second', 'totals', rows), options), {
      code: 'SAVEPOINT_MISMATCH',
      text: /of job 'first' does not fit this job:[^]*'sums'[^]*The mapping was:[^]*totals/,
    })
    assert.deepEqual(rows, [])
  })
})
