import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { LineCutter } from '../../../../operators/files/line-cutter.ts'

interface Line {
  readonly text: string
  readonly offset: number
  /** Where the line behind it begins. */
  readonly next: number
}

/** All lines of `bytes` from `offset` on, cut from chunks that end at the given places. */
function cut(
  bytes: Buffer,
  { chunkBytes = [Infinity], offset = 0, bytesMax = 1 << 20 } = {},
): Line[] {
  const cutter = new LineCutter(offset, bytesMax)
  const lines: Line[] = []
  let fed = offset
  let isFinished = false
  for (let i = 0; ;) {
    const step = cutter.next()
    if (step === 'line') {
      const text = cutter.bytes.toString('latin1', cutter.start, cutter.end)
      lines.push({ text, offset: cutter.lineOffset, next: cutter.nextOffset })
      continue
    }
    if (step === 'too-long') {
      lines.push({ text: 'TOO LONG', offset: cutter.lineOffset, next: NaN })
      return lines
    }
    if (fed < bytes.length) {
      const chunk = bytes.subarray(fed, fed + (chunkBytes[i++ % chunkBytes.length] ?? 1))
      cutter.feed(chunk)
      fed += chunk.length
    } else if (!isFinished) {
      cutter.finish()
      isFinished = true
    } else {
      assert.equal(cutter.nextOffset, bytes.length)
      return lines
    }
  }
}

/** The same by a way that is slow and plain. */
function cutPlainly(text: string): string[] {
  const parts = text.split('\n')
  return parts
    .map((part, i) => (i < parts.length - 1 && part.endsWith('\r') ? part.slice(0, -1) : part))
    .filter((line) => line !== '')
}

const anyText = fc
  .array(fc.constantFrom('\n', '\r', '\r\n', '\n\n', 'a', 'bc', '\u00ff', 'long '.repeat(5)), {
    maxLength: 30,
  })
  .map((parts) => parts.join(''))
const anyChunks = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 5 })

test('the lines are the same wherever chunks end', () => {
  fc.assert(
    fc.property(anyText, anyChunks, (text, chunkBytes) => {
      const lines = cut(Buffer.from(text, 'latin1'), { chunkBytes })
      assert.deepEqual(
        lines.map((line) => line.text),
        cutPlainly(text),
      )
    }),
    { numRuns: 2000 },
  )
})

test('offsets say where in the file a line begins and where the next one does', () => {
  fc.assert(
    fc.property(anyText, anyChunks, (text, chunkBytes) => {
      const bytes = Buffer.from(text, 'latin1')
      let before = 0
      for (const line of cut(bytes, { chunkBytes })) {
        const { offset, next } = line
        assert.equal(bytes.toString('latin1', offset, offset + line.text.length), line.text)
        assert.match(bytes.toString('latin1', before, offset), /^(\r?\n)*$/)
        assert.match(bytes.toString('latin1', offset + line.text.length, next), /^(\r?\n)?$/)
        before = next
      }
    }),
    { numRuns: 1000 },
  )
})

test('cutting again from behind any line gives the lines that follow', () => {
  fc.assert(
    fc.property(anyText, anyChunks, anyChunks, (text, chunkBytes, otherBytes) => {
      const bytes = Buffer.from(text, 'latin1')
      const lines = cut(bytes, { chunkBytes })
      for (const [i, { next }] of lines.entries()) {
        assert.deepEqual(cut(bytes, { chunkBytes: otherBytes, offset: next }), lines.slice(i + 1))
      }
    }),
    { numRuns: 500 },
  )
})

test('a line within one chunk is handed out in place, without a copy', () => {
  const chunk = Buffer.from('one\ntwo\n')
  const cutter = new LineCutter(0, 100)
  cutter.next()
  cutter.feed(chunk)
  assert.equal(cutter.next(), 'line')
  assert.equal(cutter.next(), 'line')
  assert.equal(cutter.bytes, chunk)
})

test('a lone carriage return ends no line, and stays at the end of the file', () => {
  assert.deepEqual(
    cut(Buffer.from('a\rb\r\r\nc\r')).map(({ text }) => text),
    ['a\rb\r', 'c\r'],
  )
})

test('a byte order mark is no part of the first line, and of others it is', () => {
  const bytes = Buffer.from('\ufeffone\n\ufefftwo\n')
  for (const chunkBytes of [[100], [1], [2], [3], [4]]) {
    const [first, second, ...others] = cut(bytes, { chunkBytes })
    assert.deepEqual(first, { text: 'one', offset: 0, next: 7 })
    assert.equal(second?.text, Buffer.from('\ufefftwo').toString('latin1'))
    assert.deepEqual(others, [])
    assert.deepEqual(cut(bytes, { chunkBytes, offset: 7 }), [second])
  }
  assert.deepEqual(cut(Buffer.from('\ufeff')), [])
  assert.deepEqual(
    cut(Buffer.from('\ufeff\r\n\nx')).map(({ text }) => text),
    ['x'],
  )
})

test('a line may be as long as the bound, whatever its line end and the chunks', () => {
  for (const chunkBytes of [[100], [1], [4], [5], [6]]) {
    for (const end of ['\n', '\r\n', '']) {
      const exact = cut(Buffer.from(`ab\n12345${end}`), { chunkBytes, bytesMax: 5 })
      assert.deepEqual(
        exact.map(({ text }) => text),
        ['ab', '12345'],
        `${JSON.stringify(end)} in chunks of ${chunkBytes.join()}`,
      )
    }
  }
})

test('a longer line is told with the place where it begins, before all of it is held', () => {
  for (const chunkBytes of [[100], [1], [4], [7]]) {
    for (const end of ['\n', '\r\n', '', 'x'.repeat(50)]) {
      const lines = cut(Buffer.from(`ab\n123456${end}`), { chunkBytes, bytesMax: 5 })
      assert.deepEqual(
        lines.map(({ text, offset }) => [text, offset]),
        [
          ['ab', 0],
          ['TOO LONG', 3],
        ],
      )
    }
  }
  const cutter = new LineCutter(0, 1000)
  let fedBytes = 0
  while (cutter.next() === 'more') {
    cutter.feed(Buffer.alloc(100, 'x'))
    fedBytes += 100
  }
  assert.ok(fedBytes <= 1200, `${fedBytes} bytes were taken before a bound of 1000 was seen`)
})
