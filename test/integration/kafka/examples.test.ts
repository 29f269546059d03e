/** The examples as a user runs them: `millrace run examples/….ts` against a broker, killed once on the way. */
import assert from 'node:assert/strict'
import { mkdir } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { before, describe, test } from 'node:test'
import { deadLetterJson } from 'millrace'
import { Command } from '../../support/commands.ts'
import { committedValues } from '../../support/kafka/committed.ts'
import { sharedKafka, skipWithoutKafka } from '../../support/kafka/start-kafka.ts'
import { append, createTopic } from '../../support/kafka/topics.ts'
import { Directory, sameRows, until } from '../../support/running-jobs.ts'

const examples = fileURLToPath(new URL('../../../../examples/', import.meta.url))
const MINUTE_MS = 60_000
/** A whole hour. */
const START_MS = 1_699_999_200_000
/** What comes so much later ends every window before it. */
const LATER_MS = START_MS + 100 * MINUTE_MS

interface Example {
  readonly file: string
  readonly topics: readonly string[]
  /** Records by topic, all before the kill and all after. */
  readonly input: readonly Readonly<Record<string, readonly object[]>>[]
  readonly output: string
  /** What must be in the output before the kill, and in the end. */
  readonly expected: readonly (readonly object[])[]
}

describe('examples', { skip: skipWithoutKafka(), timeout: 240_000 }, () => {
  let bootstrap: string
  before(async () => {
    bootstrap = (await sharedKafka()).bootstrap
  })

  async function check({ file, topics, input, output, expected }: Example): Promise<void> {
    await using directory = await Directory.make()
    await mkdir(directory.at('run'))
    for (const topic of [...topics, output]) await createTopic(bootstrap, topic, 2)
    for (const [step, records] of input.entries()) {
      for (const [topic, rows] of Object.entries(records)) await send(topic, rows)
      await using command = new Command(
        [
          'run',
          `${examples}${file}`,
          '--params',
          `brokers=${bootstrap}`,
          '--checkpoint-dir',
          directory.at('state'),
          '--checkpoint-interval',
          '300ms',
          '--parallelism',
          String(step + 1),
          '--threads',
          '0',
        ],
        { cwd: directory.path, runDirectory: directory.at('run') },
      )
      const rows = (expected[step] as readonly object[]).map((row) => JSON.stringify(row))
      await until(`${file} has written ${rows.length} rows; it said ${command.log}`, async () => {
        if (command.log.includes('exit code')) throw new Error(command.log)
        return (await committedValues(bootstrap, output)).length >= rows.length
      })
      sameRows(await committedValues(bootstrap, output), rows)
    } // the command is killed here
    sameRows(
      await committedValues(bootstrap, output),
      (expected.at(-1) as readonly object[]).map((row) => JSON.stringify(row)),
    )
  }

  /** The records of one key go to one partition; both partitions have some. */
  async function send(topic: string, rows: readonly object[]): Promise<void> {
    const texts = rows.map((row) => (typeof row === 'string' ? row : JSON.stringify(row)))
    await append(
      bootstrap,
      topic,
      texts.filter((text) => !text.includes('"b')),
      0,
    )
    await append(
      bootstrap,
      topic,
      texts.filter((text) => text.includes('"b')),
      1,
    )
  }

  test('page-views.ts counts views per page and minute, and keeps what it cannot read', async () => {
    await createTopic(bootstrap, 'views-undecodable')
    const view = (page: string, atMs: number): object => ({ page, user: 'u', atMs })
    const row = (page: string, views: number, minute: number): object => ({
      page,
      views,
      minute: new Date(START_MS + minute * MINUTE_MS).toISOString(),
    })
    const at = (minute: number): number[] =>
      [0, 1, 30_000, 59_999].map((ms) => START_MS + minute * MINUTE_MS + ms)
    await createTopic(bootstrap, 'views', 2)
    await append(bootstrap, 'views', ['{"page": "a'], 0)

    const first = [row('a', 4, 0), row('b', 8, 0)]
    await check({
      file: 'page-views.ts',
      topics: [],
      input: [
        {
          views: [
            ...at(0).flatMap((ms) => [view('a', ms), view('b', ms), view('b', ms)]),
            ...at(10).flatMap((ms) => [view('a', ms), view('b', ms)]),
          ],
        },
        {
          views: [...at(10).map((ms) => view('a', ms)), view('a', LATER_MS), view('b', LATER_MS)],
        },
      ],
      output: 'views-per-minute',
      expected: [first, [...first, row('a', 8, 10), row('b', 4, 10)]],
    })

    const letters = (await committedValues(bootstrap, 'views-undecodable')).map((text) =>
      deadLetterJson().decode(Buffer.from(text)),
    )
    assert.equal(letters.length, 1)
    assert.deepEqual(letters[0]?.origin, { topic: 'views', partition: 0, offset: 0 })
    assert.equal(Buffer.from(letters[0]?.value ?? []).toString(), '{"page": "a')
  })

  test('fraud-rule.ts raises an alert for a small payment and a large one within a minute', async () => {
    const payment = (card: string, amount: number, ms: number, merchant = 'shop'): object => ({
      card,
      merchant,
      amount,
      atMs: START_MS + ms,
    })
    const alert = (
      card: string,
      amount: number,
      smallMs: number,
      ms: number,
      merchant = 'shop',
    ): object => ({
      card,
      merchant,
      amount,
      smallAtMs: START_MS + smallMs,
      atMs: START_MS + ms,
    })
    const first = [alert('a1', 501, 0, 30_000), alert('b1', 600, 10_000, 70_000)]
    await check({
      file: 'fraud-rule.ts',
      topics: ['payments', 'rules'],
      input: [
        {
          payments: [
            payment('a1', 0.5, 0),
            payment('a2', 501, 10), // nothing small before
            payment('a1', 501, 30_000),
            payment('b1', 0.5, 10_000),
            payment('b2', 0.5, 10_000),
            payment('b1', 600, 70_000),
            payment('b2', 500, 60_000), // not above
            payment('b2', 700, 80_000), // too late
            payment('a3', 0.2, 90_000),
          ],
        },
        // what was small before the kill is known after it
        { payments: [payment('a3', 1000, 100_000), payment('b3', 1, 100_000)] },
      ],
      output: 'alerts',
      expected: [first, [...first, alert('a3', 1000, 90_000, 100_000)]],
    })
  })

  test('sessions.ts tells of each session when it is over', async () => {
    const click = (user: string, page: string, minute: number): object => ({
      user,
      page,
      atMs: START_MS + minute * MINUTE_MS,
    })
    const row = (
      user: string,
      clicks: number,
      minute: number,
      minutes: number,
      entryPage: string,
      exitPage: string,
    ): object => ({
      user,
      clicks,
      startedAt: new Date(START_MS + minute * MINUTE_MS).toISOString(),
      durationMs: minutes * MINUTE_MS,
      entryPage,
      exitPage,
    })
    const first = [row('a', 3, 0, 49, '/in', '/out'), row('b', 1, 5, 0, '/', '/')]
    await check({
      file: 'sessions.ts',
      topics: ['clicks'],
      input: [
        {
          clicks: [
            click('a', '/in', 0),
            click('b', '/', 5),
            click('a', '/x', 20),
            click('a', '/out', 49),
            click('a', '/again', 85),
            click('b', '/again', 85),
          ],
        },
        { clicks: [click('a', '/end', 100), click('a', '/', 500), click('b', '/', 500)] },
      ],
      output: 'sessions',
      expected: [
        first,
        [...first, row('a', 2, 85, 15, '/again', '/end'), row('b', 1, 85, 0, '/again', '/again')],
      ],
    })
  })
})
