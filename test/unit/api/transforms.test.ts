import assert from 'node:assert/strict'
import { test } from 'node:test'
import { arraySink, fromArray, generate, isEngineError, job, type } from 'millrace'
import type { DataStream } from 'millrace'
import { runTest } from 'millrace/testing'
import { rowsOf } from '../../support/run-stream.ts'

const numbers = (count: number): number[] => Array.from({ length: count }, (_, index) => index)
const ascending = (a: number, b: number): number => a - b

/** Which subtask each value is handled by. */
function placed(stream: DataStream<number>): DataStream<readonly [number, number]> {
  return stream.process(
    'place',
    { emits: type<readonly [number, number]>() },
    ({ emit, subtaskIndex }) => ({ onRecord: (value) => emit([value, subtaskIndex]) }),
  )
}

test('map, filter and flatMap keep the order of the input', async () => {
  const rows = await rowsOf((env) =>
    env
      .from('n', fromArray(numbers(10)))
      .map((n) => n * 3)
      .filter((n) => n % 2 === 0)
      .flatMap((n) => [n, n + 1]),
  )

  assert.deepEqual(rows, [0, 1, 6, 7, 12, 13, 18, 19, 24, 25])
})

test('flatMap takes any iterable: sets, strings, generators, nothing at all', async () => {
  function* upTo(n: number): Generator<string> {
    for (let i = 0; i < n; i++) yield String(i)
  }
  const rows = await rowsOf((env) =>
    env
      .from('n', fromArray(['set', 'text', 'generator', 'empty']))
      .flatMap((kind): Iterable<string> => {
        if (kind === 'set') return new Set(['a', 'b'])
        if (kind === 'text') return 'cd'
        return kind === 'generator' ? upTo(3) : []
      }),
  )

  assert.deepEqual(rows, ['a', 'b', 'c', 'd', '0', '1', '2'])
})

test('a flatMap without bound is read only as far as there is room', async () => {
  let made = 0
  const rows = await rowsOf((env) =>
    env
      .from('n', fromArray([1]))
      .flatMap(function* () {
        for (; made < 200_000; made++) yield made
      })
      .rebalance()
      .filter((n) => n % 50_000 === 0, { chain: 'alone' }),
  )

  assert.deepEqual(rows, [0, 50_000, 100_000, 150_000])
})

test('null, undefined and values of every kind pass through', async () => {
  const values = [null, undefined, 0, -0, NaN, '', 1n, true, [1, [2]], { a: undefined, b: null }]
  const more = [new Date(5), new Map([[1, 'a']]), new Set(['x']), new Uint8Array([1, 2])]

  const rows = await rowsOf((env) =>
    env
      .from('v', fromArray<unknown>([...values, ...more]))
      .map((value) => value)
      .rebalance()
      .map((value) => value, { parallelism: 1, chain: 'alone' }),
  )

  assert.deepEqual(rows, [...values, ...more])
})

test('a promise from a function is refused with ASYNC_FUNCTION', async () => {
  const mapped = rowsOf((env) => env.from('n', fromArray([1])).map(async (n) => n))
  const flattened = rowsOf((env) =>
    env.from('n', fromArray([1])).flatMap((async () => [1]) as unknown as () => number[]),
  )

  await assert.rejects(mapped, { code: 'ASYNC_FUNCTION' })
  await assert.rejects(flattened, { code: 'ASYNC_FUNCTION' })
})

test('an error names the operator by its uid, also in the middle of a chain', async () => {
  const failed = rowsOf((env) =>
    env
      .from('n', fromArray(numbers(5)))
      .map((n) => n)
      .filter(
        (n) => {
          if (n === 3) throw new TypeError('three is no good')
          return true
        },
        { uid: 'no-threes' },
      )
      .map((n) => n),
  )

  await assert.rejects(failed, (error) => {
    assert.ok(isEngineError(error))
    assert.equal(error.code, 'USER_FUNCTION_FAILED')
    assert.equal(error.operatorUid, 'no-threes')
    assert.match(error.message, /three is no good/)
    return true
  })
})

test('a union has the records of all its streams, a stream may be in it twice', async () => {
  const rows = await rowsOf((env) => {
    const a = env.from('a', fromArray([1, 2]))
    const b = env.from('b', fromArray(['x']))
    return a.union(b).union(a.map((n) => n * 10))
  })

  assert.deepEqual(rows.map(String).toSorted(), ['1', '10', '2', '20', 'x'])
  const doubled = await rowsOf((env) => {
    const a = env.from('a', fromArray([1, 2]))
    return a.union(a)
  })
  assert.deepEqual(doubled.toSorted(ascending), [1, 1, 2, 2])
})

test('streams of two jobs cannot be united', () => {
  let other: DataStream<number> | undefined
  const first = job('first', (env) => {
    other = env.from('n', fromArray([1]))
    other.to('out', arraySink<number>([]))
  })
  first.explain()
  const second = job('second', (env) => {
    env
      .from('n', fromArray([1]))
      .union(other as DataStream<number>)
      .to('out', arraySink<number>([]))
  })

  assert.throws(() => second.explain(), { code: 'STREAM_OF_OTHER_JOB' })
})

test('rebalance deals records out one by one', async () => {
  const rows = await rowsOf(
    (env) => placed(env.from('n', fromArray(numbers(12)), { parallelism: 1 }).rebalance()),
    { parallelism: 3 },
  )

  const counts = [0, 1, 2].map((subtask) => rows.filter(([, at]) => at === subtask).length)
  assert.deepEqual(counts, [4, 4, 4])
})

test('forward keeps a record in the subtask with the same index', async () => {
  const source = generate({ count: 12, record: (index) => index })
  const rows = await rowsOf((env) => placed(env.from('n', source).forward()), { parallelism: 3 })

  assert.equal(rows.length, 12)
  for (const [value, subtask] of rows) assert.equal(value % 3, subtask)
})

test('forward between two parallelisms is refused', async () => {
  const refused = rowsOf((env) =>
    env
      .from('n', fromArray([1]), { parallelism: 1 })
      .forward()
      .map((n) => n, { parallelism: 2, uid: 'wider' }),
  )

  await assert.rejects(refused, { code: 'FORWARD_PARALLELISM', operatorUid: 'wider' })
})

test('broadcast gives every record to every subtask', async () => {
  const rows = await rowsOf(
    (env) => placed(env.from('n', fromArray(numbers(4)), { parallelism: 1 }).broadcast()),
    { parallelism: 3 },
  )

  const expected = numbers(4).flatMap((n) => [0, 1, 2].map((subtask) => `${n}@${subtask}`))
  assert.deepEqual(rows.map(([n, subtask]) => `${n}@${subtask}`).toSorted(), expected)
})

test('partition sends a record where the function says', async () => {
  const rows = await rowsOf(
    (env) => placed(env.from('n', fromArray(numbers(9))).partition((n, count) => (n * n) % count)),
    { parallelism: 4 },
  )

  assert.equal(rows.length, 9)
  for (const [n, subtask] of rows) assert.equal(subtask, (n * n) % 4)
})

test('a partition out of range, or none at all, is refused', async () => {
  for (const wrong of [4, -1, 0.5, NaN, undefined as unknown as number]) {
    const refused = rowsOf(
      (env) =>
        env
          .from('n', fromArray([1]))
          .partition(() => wrong)
          .map((n) => n),
      { parallelism: 4 },
    )
    await assert.rejects(refused, { code: 'PARTITION_OUT_OF_RANGE' }, String(wrong))
  }
})

test('operators have their own parallelism', async () => {
  const counts: Record<string, number> = {}
  const note = (name: string, stream: DataStream<number>, parallelism: number) =>
    stream.process(name, { emits: type<number>(), parallelism }, (context) => {
      counts[name] = context.parallelism
      return { onRecord: (n) => context.emit(n) }
    })
  const rows = await rowsOf(
    (env) => note('two', note('five', env.from('n', fromArray(numbers(100))), 5), 2),
    { parallelism: 3 },
  )

  assert.deepEqual(rows.toSorted(ascending), numbers(100))
  assert.deepEqual(counts, { five: 5, two: 2 })
})

test('a value that is changed after it was handed on does not change downstream', async () => {
  const kept: { n: number }[] = []
  const rows = await rowsOf((env) =>
    env
      .from('n', fromArray(numbers(3)))
      .map(() => {
        const row = kept[0] ?? { n: -1 }
        kept[0] = row
        row.n += 1
        return row
      })
      .rebalance()
      .map((row) => row.n, { chain: 'alone' }),
  )

  assert.deepEqual(rows, [0, 1, 2])
})

test('side outputs of a process have their own records; one that nobody reads costs nothing', async () => {
  const odd: number[] = []
  const even: number[] = []
  const tested = job('sides', (env) => {
    const split = env.from('n', fromArray(numbers(6))).process(
      'split',
      {
        emits: type<number>(),
        side: { odd: type<number>(), unread: type<string>() },
      },
      ({ emit, side }) => ({
        onRecord(n) {
          if (n % 2 === 0) return emit(n)
          side.odd(n)
          side.unread('nobody')
        },
      }),
    )
    split.to('even', arraySink(even))
    split.side.odd.map((n) => n * 10).to('odd', arraySink(odd))
  })
  const { recordsWritten } = await runTest(tested)

  assert.deepEqual(even, [0, 2, 4])
  assert.deepEqual(odd, [10, 30, 50])
  assert.equal(recordsWritten, 6)
})

test('onEnd of a process may emit, after all records and before the sink ends', async () => {
  const rows = await rowsOf((env) =>
    env.from('n', fromArray(numbers(5))).process('sum', { emits: type<string>() }, ({ emit }) => {
      let total = 0
      return {
        onRecord(n) {
          total += n
        },
        onEnd: () => emit(`total ${total}`),
      }
    }),
  )

  assert.deepEqual(rows, ['total 10'])
})

test('a timestamp given to emit is that of the record; without one it is the record at hand', async () => {
  const rows = await rowsOf((env) =>
    env
      .from('n', fromArray([5, 7]), { timestampMs: (n) => n })
      .process('stamp', { emits: type<number>() }, ({ emit }) => ({
        onRecord(n) {
          emit(n, n * 100)
          emit(n)
        },
      }))
      .process('read', { emits: type<readonly [number, number]>() }, ({ emit }) => ({
        onRecord: (n, { timestampMs }) => emit([n, timestampMs]),
      })),
  )

  assert.deepEqual(rows, [
    [5, 500],
    [5, 5],
    [7, 700],
    [7, 7],
  ])
})

test('a timestamp that is no finite number is refused', async () => {
  for (const wrong of [NaN, Infinity, undefined as unknown as number]) {
    const refused = rowsOf((env) => env.from('n', fromArray([1]), { timestampMs: () => wrong }))
    const place = { code: 'TIMESTAMP_INVALID', operatorUid: 'n' }
    await assert.rejects(refused, place, String(wrong))
    const emitted = rowsOf((env) =>
      env.from('n', fromArray([1])).process('p', { emits: type<number>() }, ({ emit }) => ({
        onRecord: (n) => emit(n, wrong ?? NaN),
      })),
    )
    await assert.rejects(emitted, { code: 'TIMESTAMP_INVALID', operatorUid: 'p' }, String(wrong))
  }
})

test("what a source's timestampMs throws is told of the source", async () => {
  const failed = rowsOf((env) =>
    env
      .from('n', fromArray([1]), {
        timestampMs: () => {
          throw new Error('no clock')
        },
      })
      .map((n) => n, { uid: 'after' }),
  )

  await assert.rejects(failed, { code: 'USER_FUNCTION_FAILED', operatorUid: 'n' })
})
