import assert from 'node:assert/strict'
import { test } from 'node:test'
import { EXIT, exitCodeOf } from '../../../src/cli/exit-codes.ts'
import { errorText, lineLogger } from '../../../src/cli/log-lines.ts'
import { aboutText, bytesText, tableText } from '../../../src/cli/table.ts'
import { EngineError } from '../../../src/core/errors.ts'
import type { ErrorCode } from '../../../src/core/error-codes.ts'

test('an exit code tells whether starting again can help', () => {
  const table: readonly (readonly [ErrorCode, number])[] = [
    ['CONFIG_INVALID', EXIT.usage],
    ['PARAMS_INVALID', EXIT.usage],
    ['SAVEPOINT_NOT_FOUND', EXIT.usage],
    ['SAVEPOINT_MISMATCH', EXIT.job],
    ['JOB_MODULE_INVALID', EXIT.job],
    ['USER_FUNCTION_FAILED', EXIT.failed],
    ['RESTARTS_EXHAUSTED', EXIT.failed],
    ['CHECKPOINT_DIRECTORY_IN_USE', EXIT.failed],
    ['CONTROL_UNREACHABLE', EXIT.control],
    ['CONTROL_REFUSED', EXIT.control],
    ['JOB_CANCELLED', EXIT.cancelled],
  ]
  for (const [code, exitCode] of table) {
    assert.equal(exitCodeOf(new EngineError(code, 'text')), exitCode, code)
  }
})

test('a log line has time, level, text and fields', () => {
  const lines: string[] = []
  const logger = lineLogger(
    (text) => lines.push(text),
    () => new Date(0),
  )

  logger.info('begun', { task: 1, what: undefined })
  logger.error('over')

  assert.deepEqual(lines, [
    '1970-01-01T00:00:00.000Z info  begun task=1\n',
    '1970-01-01T00:00:00.000Z error over\n',
  ])
})

test('an error of the user’s own code shows where it came from, others only what to do', () => {
  const cause = new Error('broken')

  assert.match(errorText(new EngineError('USER_FUNCTION_FAILED', 'text', { cause })), /at /)
  assert.equal(
    errorText(new EngineError('CONFIG_INVALID', 'text', { cause })),
    'CONFIG_INVALID: text',
  )
})

test('figures are short', () => {
  assert.deepEqual([0, 999, 1000, 61_000, 3_600_001, 90_000_000].map(aboutText), [
    '0ms',
    '999ms',
    '1s',
    '1min',
    '1h',
    '1d',
  ])
  assert.deepEqual([0, 1023, 1024, 1_500_000, 200 * 1024 * 1024].map(bytesText), [
    '0 B',
    '1023 B',
    '1.0 KiB',
    '1.4 MiB',
    '200 MiB',
  ])
  assert.equal(
    tableText([
      ['A', 'LONG'],
      ['aaa', 'b'],
    ]),
    'A    LONG\naaa  b\n',
  )
})
