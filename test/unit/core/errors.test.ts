import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { errorCodes } from '../../../src/core/error-codes.ts'
import type { ErrorCode } from '../../../src/core/error-codes.ts'
import type { ErrorData } from '../../../src/core/errors.ts'
import {
  EngineError,
  InvariantError,
  assert as engineAssert,
  fromErrorData,
  isEngineError,
  toEngineError,
  toErrorData,
  unreachable,
} from '../../../src/core/errors.ts'

const codes = Object.keys(errorCodes) as ErrorCode[]

/** As an error travels: made data, cloned into another thread, made an error there. */
function travel(error: unknown): EngineError {
  return fromErrorData(structuredClone(toErrorData(error)))
}

const anyError: fc.Arbitrary<EngineError> = fc
  .record({
    code: fc.constantFrom(...codes),
    message: fc.string(),
    retryable: fc.option(fc.boolean()),
    job: fc.option(fc.string()),
    operatorUid: fc.option(fc.string()),
    subtaskIndex: fc.option(fc.nat()),
    causes: fc.array(fc.string(), { maxLength: 4 }),
  })
  .map(({ code, message, retryable, job, operatorUid, subtaskIndex, causes }) => {
    const cause = causes.reduceRight<Error | undefined>(
      (inner, text) => new Error(text, inner === undefined ? undefined : { cause: inner }),
      undefined,
    )
    return new EngineError(code, message, {
      ...(retryable === null ? {} : { retryable }),
      ...(job === null ? {} : { job }),
      ...(operatorUid === null ? {} : { operatorUid }),
      ...(subtaskIndex === null ? {} : { subtaskIndex }),
      ...(cause === undefined ? {} : { cause }),
    })
  })

test('the table of codes says who must act and whether a restart helps', () => {
  for (const code of codes) {
    const error = new EngineError(code, 'text')
    assert.match(error.origin, /^(job|environment|engine)$/, code)
    assert.equal(error.retryable, errorCodes[code].endsWith(', retryable'), code)
  }
  assert.equal(new EngineError('SINK_FAILED', '').origin, 'environment')
  assert.equal(new EngineError('SINK_FAILED', '').retryable, true)
  assert.equal(new EngineError('SINK_FAILED', '', { retryable: false }).retryable, false)
})

test('an error arrives in another thread with all it said', () => {
  fc.assert(
    fc.property(anyError, (error) => {
      const arrived = travel(error)
      for (const name of [
        'code',
        'message',
        'origin',
        'retryable',
        'job',
        'operatorUid',
        'subtaskIndex',
        'stack',
      ] as const) {
        assert.deepEqual(arrived[name], error[name], name)
      }
      assert.ok(arrived instanceof EngineError && isEngineError(arrived))
    }),
  )
})

test('an error that travels on and on says the same at every stop', () => {
  fc.assert(
    fc.property(anyError, (error) => {
      const data = toErrorData(error)
      assert.deepEqual(toErrorData(travel(error)), data)
      assert.deepEqual(toErrorData(travel(travel(error))), data)
    }),
  )
})

test('the data of an error is plain: JSON carries it as well', () => {
  fc.assert(
    fc.property(anyError, (error) => {
      const data = toErrorData(error)
      assert.deepEqual(JSON.parse(JSON.stringify(data)), data)
    }),
  )
})

test('causes arrive outermost first, with the stack of each', () => {
  const root = new TypeError('no such column')
  const middle = new Error('query failed', { cause: root })
  const arrived = travel(new EngineError('USER_FUNCTION_FAILED', 'map failed', { cause: middle }))

  const [first, second, ...others] = toErrorData(arrived).causes ?? []
  assert.match(first ?? '', /^Error: query failed\n\s+at /)
  assert.match(second ?? '', /^TypeError: no such column\n\s+at /)
  assert.deepEqual(others, [])
  assert.ok(arrived.cause instanceof Error && arrived.cause.cause instanceof Error)
})

test('causes that lead back to themselves end', () => {
  const a = new Error('a')
  const b = new Error('b', { cause: a })
  a.cause = b
  const causes = toErrorData(new EngineError('UNEXPECTED', 'x', { cause: a })).causes ?? []
  assert.ok(causes.length > 1 && causes.length < 100)
})

const thrown: Readonly<Record<string, readonly [unknown, RegExp]>> = {
  'an Error': [new Error('boom'), /^boom$/],
  'a text': ['boom', /^boom$/],
  'a number': [42, /^42$/],
  undefined: [undefined, /^undefined$/],
  null: [null, /^null$/],
  'a symbol': [Symbol('boom'), /boom/],
  'an object without prototype': [Object.create(null), /object/i],
  'an object whose text cannot be had': [
    {
      toString() {
        throw new Error('no')
      },
    },
    /object/i,
  ],
}
for (const [what, [value, message]] of Object.entries(thrown)) {
  test(`${what} that was thrown becomes UNEXPECTED, and travels`, () => {
    const error = toEngineError(value)
    assert.equal(error.code, 'UNEXPECTED')
    assert.match(error.message, message)
    assert.equal(error.cause, value)
    assert.equal(travel(value).message, error.message)
  })
}

test('an error of the engine that lost its class keeps its code and its causes', () => {
  const foreign = Object.assign(new Error('disk full', { cause: new Error('ENOSPC') }), {
    code: 'SINK_FAILED',
    retryable: false,
    operatorUid: 'out',
  })

  const error = toEngineError(foreign)

  assert.ok(error instanceof EngineError)
  assert.equal(error.code, 'SINK_FAILED')
  assert.equal(error.retryable, false)
  assert.equal(error.operatorUid, 'out')
  assert.match(toErrorData(foreign).causes?.[0] ?? '', /ENOSPC/)
  assert.match(toErrorData(error).causes?.[0] ?? '', /ENOSPC/)
})

test('an error with the code of something else is not the engine’s', () => {
  for (const code of ['ENOENT', 'toString', '__proto__', 5]) {
    const error = Object.assign(new Error('x'), { code })
    assert.equal(isEngineError(error), false)
    assert.equal(toEngineError(error).code, 'UNEXPECTED')
  }
  assert.equal(isEngineError({ code: 'SINK_FAILED' }), false)
})

test('a place is added once, said in the message, and never overwritten', () => {
  const error = new EngineError('SINK_FAILED', 'disk full', { operatorUid: 'out' })

  const placed = error.at({ job: 'views', operatorUid: 'other', subtaskIndex: 2 })

  assert.equal(placed.message, "job 'views', subtask 2: disk full")
  assert.equal(placed.job, 'views')
  assert.equal(placed.operatorUid, 'out')
  assert.equal(placed.subtaskIndex, 2)
  assert.equal(placed.at({ job: 'views', subtaskIndex: 3 }), placed)
  assert.equal(error.at({}), error)
})

test('an error with its place keeps where it happened, its cause and whether a restart helps', () => {
  const here = function thisVeryFunction(): EngineError {
    return new EngineError('SINK_FAILED', 'disk full', { cause: 'why', retryable: false })
  }
  const error = here()

  const placed = fromErrorData(structuredClone(toErrorData(error))).at({ job: 'views' })

  assert.match(placed.stack ?? '', /thisVeryFunction/)
  assert.match(placed.stack ?? '', /job 'views': disk full/)
  assert.equal(placed.retryable, false)
  assert.deepEqual(toErrorData(placed).causes, ['why'])
  assert.equal('cause' in new EngineError('SINK_FAILED', 'x').at({ job: 'views' }), false)
})

test('a broken invariant is a mistake of the engine', () => {
  assert.doesNotThrow(() => engineAssert(true, 'fine'))
  assert.throws(
    () => engineAssert(Math.sign(-1) > 0, '1 is not above 2'),
    (error: unknown) => {
      assert.ok(error instanceof InvariantError)
      assert.equal(error.code, 'INVARIANT_BROKEN')
      assert.equal(error.origin, 'engine')
      assert.equal(error.retryable, false)
      return error.message === '1 is not above 2'
    },
  )
  assert.throws(() => unreachable('x' as never), { code: 'INVARIANT_BROKEN' })
})

test('data without anything that may be missing makes an error', () => {
  const data: ErrorData = { code: 'FENCED', message: 'gone', retryable: false }
  const error = fromErrorData(data)
  assert.equal(error.cause, undefined)
  assert.equal('cause' in error, false)
  assert.deepEqual({ ...toErrorData(error), stack: undefined }, { ...data, stack: undefined })
})
